//! The Node process and what it has recorded.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The agent token of [`AGENT`] that the server accepts by default.
pub const AGENT_TOKEN: &str = "sk_interop";
/// A token of an unverified agent.
pub const UNVERIFIED_TOKEN: &str = "sk_unverified";
/// Id of the agent, a member of [`LOBBY`], [`DEN`] and [`DM`].
pub const AGENT: &str = "agent-1";
/// Username of the agent.
pub const AGENT_NAME: &str = "mybot";
/// Id of a room with the slug `lobby`.
pub const LOBBY: &str = "ag-lobby";
/// Id of a room with the slug `the-den`.
pub const DEN: &str = "ag-den";
/// Id of a room with the slug `vault`, of which the agent is not a member.
pub const VAULT: &str = "ag-vault";
/// Id of the direct conversation of the agent and [`ALICE`].
pub const DM: &str = "dm-1";
/// Id of a user who is in every room.
pub const ALICE: &str = "usr-alice";
/// Her username.
pub const ALICE_NAME: &str = "alice";

/// The time limit for starting Node on a busy machine.
const START: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(10);

type Waiting = Arc<Mutex<HashMap<u64, Sender<Value>>>>;

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    stdin: Mutex<ChildStdin>,
    waiting: Waiting,
    next_id: AtomicU64,
    port: u64,
}

impl Server {
    /// Starts a server with these options: the object at the top of `server.mjs` has all of them.
    ///
    /// # Panics
    /// If Node or the packages of `package-lock.json` are not installed.
    pub fn start(options: Value) -> Server {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(
            home.join("node_modules/socket.io/package.json").exists(),
            "the packages of tests/interop are not installed: run `npm ci --prefix tests/interop`"
        );
        let mut child = Command::new("node")
            .arg(home.join("server.mjs"))
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| match error.kind() {
                ErrorKind::NotFound => {
                    panic!("`node` is not on the PATH: install Node.js 18 or newer (https://nodejs.org)")
                }
                _ => panic!("cannot start node: {error}"),
            });
        let stdin = child.stdin.take().unwrap();
        let stdout = child.stdout.take().unwrap();

        let waiting = Waiting::default();
        let (ready, port) = mpsc::channel();
        let slots = Arc::clone(&waiting);
        thread::spawn(move || read_answers(BufReader::new(stdout), &ready, &slots));
        let mut server =
            Server { child, stdin: Mutex::new(stdin), waiting, next_id: AtomicU64::new(1), port: 0 };
        server.port = match port.recv_timeout(START) {
            Ok(port) => port,
            Err(RecvTimeoutError::Disconnected) => {
                panic!(
                    "server.mjs ended at once: its message is above (Node older than 18, or a bad option?)"
                )
            }
            Err(RecvTimeoutError::Timeout) => panic!("server.mjs did not start within {START:?}"),
        };
        server
    }

    /// The value for `api_url`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends a command of `server.mjs` and waits for the answer.
    pub fn command(&self, mut command: Value) -> Value {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        command["id"] = id.into();
        let (slot, answer) = mpsc::channel();
        self.waiting.lock().unwrap().insert(id, slot);
        let written = {
            let mut stdin = self.stdin.lock().unwrap();
            writeln!(stdin, "{command}").and_then(|()| stdin.flush())
        };
        written.unwrap_or_else(|error| panic!("server.mjs is gone: {error}"));
        let answer =
            answer.recv_timeout(ANSWER).unwrap_or_else(|error| panic!("no answer to {command}: {error}"));
        if let Some(error) = answer.get("error") {
            panic!("server.mjs refused {command}: {error}");
        }
        answer
    }

    /// The log of what clients have done so far, in order: everything, or only these kinds.
    pub fn log(&self, kinds: &[&str]) -> Vec<Entry> {
        let command = match kinds {
            [] => json!({"cmd": "events"}),
            _ => json!({"cmd": "events", "kinds": kinds}),
        };
        let mut answer = self.command(command);
        match answer["events"].take() {
            Value::Array(entries) => entries.into_iter().map(Entry).collect(),
            other => panic!("not a list of events: {other}"),
        }
    }

    /// The Socket.IO events with this name.
    pub fn events(&self, name: &str) -> Vec<Entry> {
        self.log(&["event"]).into_iter().filter(|entry| entry["event"] == name).collect()
    }

    /// Waits until the log has `count` entries that match, and returns them.
    ///
    /// # Panics
    /// With the whole log, if it takes longer than `limit`.
    pub fn wait(
        &self,
        limit: Duration,
        what: &str,
        count: usize,
        matches: impl Fn(&Entry) -> bool,
    ) -> Vec<Entry> {
        let deadline = Instant::now() + limit;
        loop {
            let (found, other): (Vec<_>, Vec<_>) = self.log(&[]).into_iter().partition(&matches);
            if found.len() >= count {
                return found;
            }
            if Instant::now() > deadline {
                let log: String = other.iter().map(|entry| format!("\n  {}", entry.0)).collect();
                panic!("{} of {count} times {what} within {limit:?}. Besides that:{log}", found.len());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until this Socket.IO event has arrived `count` times.
    pub fn wait_events(&self, limit: Duration, count: usize, name: &str) -> Vec<Entry> {
        self.wait(limit, name, count, |entry| entry["kind"] == "event" && entry["event"] == name)
    }

    /// Waits until `count` sockets have been accepted since the start.
    pub fn wait_connects(&self, limit: Duration, count: usize) -> Vec<Entry> {
        self.wait(limit, "connect", count, |entry| entry["kind"] == "connect")
    }

    /// Posts a message of alice to a room. Returns the message as the room sees it.
    pub fn alice_says(&self, agency: &str, content: &str) -> Value {
        self.alice(json!({"agency": agency, "content": content}))
    }

    /// Posts a message of alice with the fields of the command `say`.
    pub fn alice(&self, mut say: Value) -> Value {
        say["cmd"] = "say".into();
        say["from"] = ALICE_NAME.into();
        self.command(say)["message"].take()
    }

    /// Sends any event to everyone, to a room, a user or a socket.
    pub fn emit(&self, to: impl Into<Option<&'static str>>, event: &str, args: Value) {
        self.command(json!({"cmd": "emit", "to": to.into(), "event": event, "args": args}));
    }

    /// Closes every connection without a packet, like a failing network.
    pub fn cut(&self) {
        self.command(json!({"cmd": "kill-engine"}));
    }

    /// How many Engine.IO sessions are open.
    pub fn engines(&self) -> u64 {
        self.command(json!({"cmd": "stats"}))["engines"].as_u64().unwrap()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the output of the server. The first line has the port, and each later line answers a command. The thread ends
/// with the process. It then drops the slots, which wakes all waiting threads.
fn read_answers(stdout: impl BufRead, ready: &Sender<u64>, waiting: &Waiting) {
    for line in stdout.lines().map_while(Result::ok) {
        let Ok(mut answer) = serde_json::from_str::<Value>(&line) else {
            continue; // a stray line of output, not an answer
        };
        if let Some(port) = answer["port"].as_u64() {
            let _ = ready.send(port);
        }
        let slot = answer["id"].as_u64().and_then(|id| waiting.lock().unwrap().remove(&id));
        if let Some(slot) = slot {
            let _ = slot.send(answer.take());
        }
    }
    waiting.lock().unwrap().clear();
}

/// One thing that a client did. The fields depend on the `kind`:
///
/// - `http`: `method`, `path`, `query`, `headers`, `body`
/// - `handshake` of Engine.IO: `url`, `headers`, `allowed`
/// - `packet` of Engine.IO: `engine`, `type`, `data`
/// - `connect`, accepted: `sid`, `engine`, `transport`, `who`, `recovered`, `auth`, `headers`, `query`
/// - `refused` by the middleware: `auth`
/// - `event`: `sid`, `event`, `args`, and in `ack` whether it wants an acknowledgement
/// - `violation`: `what` an agent's run event violated in the documented form, and the `payload`
/// - `disconnect` and `engine-close`: `sid` or `engine`, `reason`
///
/// `n` is the entry's number, and `at` is its time in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry(pub Value);

impl Entry {
    /// The first argument of an event.
    pub fn payload(&self) -> &Value {
        &self.0["args"][0]
    }

    /// Its number in the log.
    pub fn position(&self) -> u64 {
        self.0["n"].as_u64().unwrap()
    }

    /// When it happened, in milliseconds.
    pub fn at(&self) -> u64 {
        self.0["at"].as_u64().unwrap()
    }
}

impl std::ops::Index<&str> for Entry {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        &self.0[field]
    }
}
