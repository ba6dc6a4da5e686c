//! A headless browser, driven over the DevTools protocol.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

const PATIENCE: Duration = Duration::from_secs(60);
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

pub(crate) struct Browser {
    process: Child,
    folder: PathBuf,
    url: String,
    /// Disconnected when all processes of the browser have ended.
    ended: Receiver<()>,
}

fn program() -> Option<String> {
    let runs = |name: &String| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    let named = std::env::var("CHROMIUM").ok();
    named.into_iter().chain(PROGRAMS.map(str::to_owned)).find(runs)
}

impl Browser {
    /// Starts the browser. `None` if Chromium is not installed.
    pub(crate) fn start() -> Option<Browser> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Some(program) = program() else {
            let required = std::env::var("CRUSTOCEAN_BROWSER").is_ok_and(|value| value == "required");
            assert!(!required, "no Chromium was found: install it, or name it in CHROMIUM");
            eprintln!("skipped: no Chromium was found");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("crustocean-browser-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut process = Command::new(program)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--window-size=1400,800", "--hide-scrollbars", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let url = lines.find_map(|line| Some(line.ok()?.strip_prefix("DevTools listening on ")?.to_owned()));
        // Reads on, so that a full pipe does not block the browser. All its processes share the pipe.
        let (running, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let _running: Sender<()> = running;
            lines.for_each(drop);
        });
        Some(Browser { process, folder, url: url.expect("Chromium says where it listens"), ended })
    }

    fn connect(&self) -> Result<Page, Box<dyn std::error::Error>> {
        let address = self.url.trim_start_matches("ws://").split('/').next().unwrap_or_default();
        let tcp = TcpStream::connect(address)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let (socket, _) = tungstenite::client(&self.url, tcp)?;
        Ok(Page { socket, session: None, last: 0, errors: Vec::new() })
    }

    pub(crate) fn open(&mut self, url: &str) -> Page {
        let mut page = self.connect().unwrap();
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = page.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        page.session = Some(attached["sessionId"].clone());
        page.call("Runtime.enable", json!({}));
        page.call("Log.enable", json!({}));
        page.call("Page.enable", json!({}));
        page.call("Page.navigate", json!({ "url": url }));
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A browser that closes itself removes its temporary files.
        let closing = self.connect().is_ok_and(|mut page| page.send("Browser.close", json!({})).is_ok());
        if !closing || self.ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) struct Page {
    socket: WebSocket<TcpStream>,
    session: Option<Value>,
    last: u64,
    errors: Vec<String>,
}

impl Page {
    fn send(&mut self, method: &str, params: Value) -> tungstenite::Result<()> {
        self.last += 1;
        let mut command = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            command["sessionId"] = session.clone();
        }
        self.socket.send(Message::text(command.to_string()))
    }

    /// Runs a command of the protocol and returns its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(method, params).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let mut message: Value = serde_json::from_str(&text).unwrap();
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            let params = &message["params"];
            if message["method"] == "Runtime.exceptionThrown" {
                self.errors.push(params["exceptionDetails"].to_string());
            }
            // Responses caused by a fault are not errors of the page.
            if message["method"] == "Log.entryAdded" && params["entry"]["source"] == "security" {
                self.errors.push(params["entry"]["text"].to_string());
            }
        }
    }

    /// The value of an expression.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.call("Runtime.evaluate", params);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub(crate) fn until(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.evaluate(&format!(
            "(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()"
        )) != true
        {
            assert!(
                Instant::now() < deadline,
                "never: {expression}\n{}",
                self.evaluate("document.body.innerText")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A PNG of the visible page.
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        base64(picture["data"].as_str().unwrap())
    }

    /// The errors of the page's script.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.clone()
    }
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let digits: Vec<u32> = digits.map(|digit| digit as u32).collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let word = group.iter().fold(0, |word, digit| word << 6 | digit) << (6 * (4 - group.len()));
        bytes.extend(&word.to_be_bytes()[1..group.len()]);
    }
    bytes
}
