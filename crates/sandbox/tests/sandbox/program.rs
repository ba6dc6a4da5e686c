//! The program: its start-up time, a kill without data loss, and a bot in Python.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, text};
use crate::data::Folder;
use serde_json::{Value, json};

/// A sandbox in a process of its own.
struct Program {
    process: Child,
    url: String,
    agent_token: String,
}

impl Program {
    fn start(data: &Path) -> Program {
        let mut process = Command::new(env!("CARGO_BIN_EXE_crustocean-sandbox"))
            .args(["--port", "0", "--demo", "--quiet", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.next().unwrap();
        let token = lines.find_map(|line| Some(line.strip_prefix("export AGENT_TOKEN=")?.to_owned()));
        let agent_token = token.unwrap().split_whitespace().next().unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Program { process, url, agent_token }
    }

    fn post(&self, path: &str, body: &Value) -> Option<Value> {
        let request = ureq::post(format!("{}{path}", self.url)).header("content-type", "application/json");
        let text = request.send(body.to_string()).ok()?.into_body().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }

    fn messages(&self) -> Vec<String> {
        let response = ureq::get(format!("{}/_sandbox/messages?limit=100000", self.url)).call().unwrap();
        let all: Vec<Value> = serde_json::from_str(&response.into_body().read_to_string().unwrap()).unwrap();
        all.iter().map(|message| text(&message["content"])).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL on Unix: the program cannot clean up.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_kill_loses_no_acknowledged_data() {
    let folder = Folder::new("kill");
    let mut said = Vec::new();
    let mut token = None;
    for round in 0..6 {
        let mut program = Program::start(&folder.0);
        // The demo keeps its tokens.
        assert_eq!(*token.get_or_insert_with(|| program.agent_token.clone()), program.agent_token);
        assert!(program.post("/api/auth/agent", &json!({ "agentToken": program.agent_token })).is_some());
        let kept = program.messages();
        assert_eq!(kept.iter().filter(|text| said.contains(*text)).count(), said.len(), "round {round}");
        let until = Instant::now() + Duration::from_millis(120 + 30 * round);
        std::thread::scope(|scope| {
            let program_url = program.url.clone();
            let talker = scope.spawn(move || {
                let mut said = Vec::new();
                for n in 0.. {
                    let text = format!("{round}-{n} {}", "x".repeat(n % 3_000));
                    let body = json!({ "as": "alice", "text": text }).to_string();
                    let request = ureq::post(format!("{program_url}/_sandbox/say"));
                    if request.header("content-type", "application/json").send(body).is_err() {
                        break;
                    }
                    said.push(text);
                }
                said
            });
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            program.process.kill().unwrap();
            said.extend(talker.join().unwrap());
        });
    }
    assert!(!said.is_empty());
    let kept = Program::start(&folder.0).messages();
    assert!(said.iter().all(|text| kept.contains(text)));
}

#[test]
fn two_programs_do_not_share_a_folder() {
    let folder = Folder::new("shared");
    let first = Program::start(&folder.0);
    let mut second = Command::new(env!("CARGO_BIN_EXE_crustocean-sandbox"));
    let ended = second.args(["--port", "0", "--data"]).arg(&folder.0).output().unwrap();
    let error = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success() && error.contains("another sandbox uses"), "{error}");
    // A kill frees the folder.
    drop(first);
    drop(Program::start(&folder.0));
}

/// A program that reads only the first line, the URL, leaves closed pipes behind.
#[test]
fn a_program_whose_output_nobody_reads_goes_on() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_crustocean-sandbox"))
        .args(["--port", "0", "--demo"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(process.stderr.take());
    let mut url = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let program = Program { process, url: url.trim().to_owned(), agent_token: String::new() };
    // Each request is a line of the log.
    for n in 0..3 {
        let said = program.post("/_sandbox/say", &json!({ "as": "alice", "text": format!("message {n}") }));
        assert!(said.is_some(), "message {n}");
    }
    assert_eq!(program.messages().iter().filter(|text| text.starts_with("message ")).count(), 3);
}

/// Runs if Python with python-socketio is installed, and otherwise prints that it does not run. If `PYTHON` is set, a missing
/// interpreter is a failure.
#[test]
fn a_bot_in_python_answers_and_comes_back() {
    let named = std::env::var("PYTHON");
    let python = named.clone().unwrap_or_else(|_| "python3".to_owned());
    let has = Command::new(&python).args(["-c", "import socketio, websocket"]).stderr(Stdio::null()).status();
    if !has.is_ok_and(|status| status.success()) {
        assert!(named.is_err(), "{python} has no python-socketio: pip install \"python-socketio[client]\"");
        eprintln!("skipped: {python} has no python-socketio");
        return;
    }
    let folder = Folder::new("python");
    let program = Program::start(&folder.0);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/bot.py");
    let mut bot = Command::new(python)
        .arg(script)
        .env("CRUSTOCEAN_API_URL", &program.url)
        .env("AGENT_TOKEN", &program.agent_token)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let answered = |text: &str| {
        let deadline = Instant::now() + 4 * PATIENCE;
        let wanted = format!("You said: {text}");
        while Instant::now() < deadline {
            program.post("/_sandbox/say", &json!({ "as": "alice", "text": text })).unwrap();
            let patience = Instant::now() + Duration::from_millis(500);
            while Instant::now() < patience {
                if program.messages().contains(&wanted) {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        false
    };
    let first = answered("@mybot hello");
    program.post("/_sandbox/fault", &json!({ "drop-links": "" })).unwrap();
    let second = answered("@mybot still there?");
    let _ = bot.kill();
    let _ = bot.wait();
    assert!(first && second, "{first} {second}");
}
