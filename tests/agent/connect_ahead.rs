//! The crate opens the socket while it exchanges the agent's token. The tests let the exchange fail or be slow.

use std::io::Read as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::{Response, ScriptedServer, watchdog};
use crustocean::{Agent, AgentToken, ErrorKind};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

fn token() -> AgentToken {
    "sk_x".parse().unwrap()
}

#[test]
fn the_half_open_socket_of_an_unverified_agent_is_dropped_at_once() {
    let _watchdog = watchdog(LIMIT);
    let (opened, is_open) = mpsc::channel();
    let (dropped, is_dropped) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.open(Duration::from_secs(25), Duration::from_secs(20));
        opened.send(()).unwrap();
        conn.recv(Duration::from_secs(30));
        dropped.send(()).unwrap();
    });
    let is_open = std::sync::Mutex::new(is_open);
    server.on("POST", "/api/auth/agent", move |_| {
        is_open.lock().unwrap().recv_timeout(LIMIT).unwrap();
        Response::json(403, json!({"error": "Agent is not verified"}))
    });
    let error = Agent::builder().api_url(server.url()).connect(token()).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::NotVerified, Some(403)));
    is_dropped.recv_timeout(Duration::from_secs(20)).unwrap();
}

#[test]
fn a_failed_exchange_does_not_wait_for_the_socket() {
    let _watchdog = watchdog(LIMIT);
    let (dropped, is_dropped) = mpsc::channel();
    // The server reads the upgrade request and does not answer.
    let server = ScriptedServer::start_before_upgrade(move |conn| {
        let _ = conn.stream().read_to_end(&mut Vec::new());
        dropped.send(()).unwrap();
    });
    server.on("POST", "/api/auth/agent", |_| Response::json(403, json!({"error": "Agent is not verified"})));
    let builder = Agent::builder().api_url(server.url()).handshake_timeout(Duration::from_secs(600));
    assert_eq!(builder.connect(token()).unwrap_err().kind(), ErrorKind::NotVerified);
    if !server.connections().is_empty() {
        is_dropped.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}

#[test]
fn a_socket_that_waited_too_long_is_opened_again() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        // The server drops clients that do not answer pings for two seconds.
        conn.open(Duration::from_secs(1), Duration::from_secs(1));
        if conn.index == 1 {
            conn.accept_connect();
        }
        conn.until_gone(Duration::from_secs(30));
    });
    server.on("POST", "/api/auth/agent", |_| {
        thread::sleep(Duration::from_millis(2100));
        Response::json(200, json!({"token": "session-1", "user": {"id": "agent-1", "username": "mybot"}}))
    });
    let agent = Agent::builder().api_url(server.url()).connect(token()).unwrap();
    assert_eq!(server.connections().len(), 2);
    drop(agent);
}
