//! A logger is the user's code: the agent works on, whatever the logger does. These tests also check the log of a
//! connection.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed test")]

mod common;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{SOON, ScriptedServer, eventually, scripted, watchdog};
use crustocean::{Agent, Event};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

const QUIET: u8 = 0;
const CALLS_BACK: u8 = 1;
const PANICS: u8 = 2;
const BLOCKS: u8 = 3;
const CALLS_REST: u8 = 4;

static MODE: AtomicU8 = AtomicU8::new(QUIET);
static RECORDS: Mutex<Vec<(log::Level, String)>> = Mutex::new(Vec::new());
static AGENT: Mutex<Option<Agent>> = Mutex::new(None);

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if !record.target().starts_with("crustocean::") {
            return;
        }
        let records = || RECORDS.lock().unwrap_or_else(PoisonError::into_inner);
        records().push((record.level(), record.args().to_string()));
        match MODE.load(Ordering::SeqCst) {
            CALLS_BACK => {
                let agent = AGENT.lock().unwrap().clone();
                if let Some(agent) = agent {
                    let _ = (agent.is_connected(), agent.events().try_recv());
                }
            }
            // Calls only for this record, because each call writes more records.
            CALLS_REST if record.args().to_string().contains("/api/auth/agent") => {
                let agent = AGENT.lock().unwrap().clone();
                drop(agent.map(|agent| agent.client().account().me()));
            }
            PANICS => panic!("a logger that panics"),
            // Blocks until the test is over.
            BLOCKS => {
                while MODE.load(Ordering::SeqCst) == BLOCKS {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            _ => {}
        }
    }

    fn flush(&self) {}
}

/// Only one test at a time uses the logger.
struct Alone(#[expect(dead_code, reason = "held until the test is over")] MutexGuard<'static, ()>);

impl Drop for Alone {
    fn drop(&mut self) {
        MODE.store(QUIET, Ordering::SeqCst);
        // A client waits for the log when it is dropped, so that the next test sees no record of this one.
        drop(crustocean::Client::builder().anonymous());
    }
}

/// Sets this logger.
fn logger(mode: u8) -> Alone {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = Alone(ALONE.lock().unwrap_or_else(PoisonError::into_inner));
    let _ = log::set_logger(&Logger);
    log::set_max_level(log::LevelFilter::Debug);
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner).clear();
    MODE.store(mode, Ordering::SeqCst);
    alone
}

fn logged() -> Vec<(log::Level, String)> {
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A server whose first connection breaks, and whose second one answers `question` with `answer`.
fn flaky() -> ScriptedServer {
    ScriptedServer::start(|conn| {
        conn.open(Duration::from_secs(1), Duration::from_secs(10));
        conn.accept_connect();
        if conn.index == 0 {
            std::thread::sleep(Duration::from_millis(200));
            return;
        }
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(500));
            conn.heartbeat();
        }
        conn.send_event("answer", json!(1));
        conn.until_gone(SOON);
    })
}

/// Checks that the agent reconnects, answers heartbeats meanwhile, and gets the answer.
fn comes_back(mode: u8) {
    let (_logger, _watchdog) = (logger(mode), watchdog(LIMIT));
    let server = flaky();
    let agent = scripted(&server);
    *AGENT.lock().unwrap() = Some(agent.clone());
    eventually("the connection is back", || server.connections().len() == 2 && agent.is_connected());
    // Only the agent's own thread answers the heartbeats.
    std::thread::sleep(Duration::from_secs(2));
    let mut events = agent.events();
    assert!(events.any(|event| matches!(event, Ok(Event::Other(raw)) if raw.name() == "answer")));
    assert_eq!(server.connections().len(), 2);
    drop((AGENT.lock().unwrap().take(), events));
    agent.close().unwrap();
    server.finish(SOON);
}

#[test]
fn a_logger_that_uses_the_agent_blocks_nothing() {
    comes_back(CALLS_BACK);
}

#[test]
fn a_logger_that_panics_ends_nothing() {
    comes_back(PANICS);
}

#[test]
#[cfg(feature = "receiver")]
fn a_logger_that_panics_or_blocks_stops_no_webhook() {
    webhooks_go_on(PANICS);
    webhooks_go_on(BLOCKS);
}

/// The thread that accepts connections logs some refusals, and the thread that answers logs others.
#[cfg(feature = "receiver")]
fn webhooks_go_on(mode: u8) {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    let (_logger, _watchdog) = (logger(mode), watchdog(LIMIT));
    let secret: crustocean::webhook::WebhookSecret = "only we know".parse().unwrap();
    let receiver = crustocean::webhook::Receiver::new().deliveries("/hook", secret, |_| ());
    let server = receiver.max_connections(1).serve("127.0.0.1:0").unwrap();
    let status = || {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // A refused connection may be closed already.
        let _ = stream.write_all(b"POST /hook HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.split(' ').nth(1).unwrap_or("nothing").to_owned()
    };
    assert_eq!(status(), "401", "without a signature");
    let mut silent = None;
    eventually("one at a time", || {
        // The server refuses this connection until it has noticed the end of the previous one.
        silent = Some(TcpStream::connect(server.address()).unwrap());
        status() == "503"
    });
    drop(silent);
    eventually("the next one is answered", || status() == "401");
    server.stop().unwrap();
    MODE.store(QUIET, Ordering::SeqCst);
    eventually("the records come", || logged().iter().any(|(_, text)| text.contains("at once")));
}

#[test]
fn a_logger_that_blocks_stops_no_heartbeat() {
    comes_back(BLOCKS);
}

#[test]
fn the_log_of_a_connection() {
    let (_logger, _watchdog) = (logger(QUIET), watchdog(LIMIT));
    let server = flaky();
    let agent = scripted(&server);
    let mut events = agent.events();
    assert!(events.any(|event| matches!(event, Ok(Event::Other(raw)) if raw.name() == "answer")));
    drop(events);
    agent.close().unwrap();
    let with = |level, text: &str| {
        let found = |(l, t): &(log::Level, String)| *l == level && t.contains(text);
        eventually(text, || logged().iter().any(found));
        let record = logged().into_iter().find(found).unwrap().1;
        assert!(record.starts_with("@mybot: "), "{record}");
        record
    };
    with(log::Level::Info, "connected");
    with(log::Level::Warn, "lost the connection (transport close");
    let back = with(log::Level::Info, "connected again after ");
    assert!(back.contains("tries: 1"), "{back}");
    with(log::Level::Info, "closed");
    let warnings = logged().into_iter().filter(|(level, _)| *level <= log::Level::Warn).count();
    assert_eq!(warnings, 1, "a clean close is no error: {:?}", logged());

    // Tests the end of an agent that does not reconnect.
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
    });
    let builder = Agent::builder().api_url(server.url()).reconnect(crustocean::agent::Reconnect::Never);
    let agent = builder.connect("sk_x".parse().unwrap()).unwrap();
    let _ = agent.events().find(Result::is_err);
    with(log::Level::Warn, "the session has ended: the connection was lost");
}

struct Panics;

impl serde::Serialize for Panics {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("a payload that panics")
    }
}

#[test]
fn a_payload_that_panics_ends_nothing() {
    let (_logger, _watchdog) = (logger(QUIET), watchdog(LIMIT));
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.send_text(r#"427["ping",1]"#);
        conn.expect_text(r#"437["well"]"#);
        conn.expect_event("after");
        conn.until_gone(SOON);
    });
    let agent = scripted(&server);
    let question = agent.events().find_map(|event| match event {
        Ok(Event::Other(raw)) => Some(raw),
        _ => None,
    });
    let question = question.unwrap();
    let panics = |work: &dyn Fn()| {
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
    };
    panics(&|| drop(agent.raw().emit("x", &Panics)));
    panics(&|| drop(agent.raw().call("x", &Panics, SOON)));
    panics(&|| drop(agent.raw().answer(&question, &Panics)));
    agent.raw().answer(&question, &"well").unwrap();
    agent.raw().emit("after", &1).unwrap();
    agent.close().unwrap();
    server.finish(SOON);
}

/// A logger may use the crate itself, for example to write records into a room.
#[test]
fn a_logger_may_use_the_client_while_a_session_is_exchanged() {
    let (_logger, _watchdog) = (logger(CALLS_REST), watchdog(LIMIT));
    let sandbox = common::TestSandbox::new();
    let agent = sandbox.connect("larry");
    *AGENT.lock().unwrap() = Some(agent.clone());
    sandbox.expire_sessions();
    agent.client().account().me().unwrap();
    eventually("the logger was called", || logged().iter().any(|(_, text)| text.contains("/api/auth/agent")));
    drop(AGENT.lock().unwrap().take());
    agent.close().unwrap();
}

/// The program's own clients wait for the log when they are dropped. The clients that the crate makes for a single call
/// do not.
#[test]
fn a_logger_that_blocks_delays_no_call() {
    let (_logger, _watchdog) = (logger(BLOCKS), watchdog(LIMIT));
    let server = ScriptedServer::start(|_| {});
    server.on("POST", "/api/auth/login", |_| {
        common::Response::json(200, json!({"token": "5e5510n", "user": {"id": "usr-1", "username": "alice"}}))
    });
    server.on("POST", "/api/auth/agent", |_| common::Response::json(401, json!({"error": "unknown"})));
    // If each call waited for a second, all calls together would exceed `SOON`.
    const CALLS: u32 = 40;
    let started = std::time::Instant::now();
    for _ in 0..CALLS {
        let builder = crustocean::Client::builder().api_url(server.url());
        std::mem::forget(builder.login("alice", "correct horse").unwrap());
    }
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    let started = std::time::Instant::now();
    for _ in 0..CALLS {
        let builder = Agent::builder().api_url(server.url());
        builder.connect("sk_x".parse().unwrap()).unwrap_err();
    }
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

/// Only `logging` catches the panics of a logger, so no other file may call it.
#[test]
fn no_other_file_calls_the_logger() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = ["src", "crates/wallet/src", "crates/workers/src"].map(|part| root.join(part)).to_vec();
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let mut code = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
            let calls = |line: &str| {
                ["error!", "warn!", "info!", "debug!", "trace!", "log!"]
                    .iter()
                    .any(|name| line.contains(&format!("log::{name}")))
            };
            let allowed = path.ends_with("logging.rs");
            assert!(allowed || !code.any(calls), "{}: use the module logging", path.display());
        }
    }
    assert!(files > 200, "{files}");
}
