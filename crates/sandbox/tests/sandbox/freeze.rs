//! A server that stands still for a while.

// Helpers outside of test functions may fail a test, too.
use std::time::{Duration, Instant};

use crate::common::{Socket, call};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

#[test]
fn nothing_is_answered_and_no_connection_ends() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let lobby = sandbox.lobby_id();
    let mut socket = Socket::join(&sandbox, &alice.token, &lobby);
    let start = Instant::now();
    sandbox.freeze(Duration::from_millis(400));
    assert!(start.elapsed() < Duration::from_millis(300), "freeze() waits for its end");
    socket.emit("send-message", json!({ "agencyId": lobby, "content": "anybody?" }));
    assert_eq!(call(&sandbox, "GET", "/api/commands", "", Value::Null).status, 200);
    assert!(start.elapsed() >= Duration::from_millis(400), "answered after {:?}", start.elapsed());
    // The same connection goes on, and nothing that was sent to it is lost.
    assert_eq!(socket.wait("message")["content"], "anybody?");
    assert_eq!(sandbox.connections(), 1);
}

#[test]
fn a_freeze_ends_early_when_told_to_or_when_the_sandbox_stops() {
    let sandbox = Sandbox::start().unwrap();
    let start = Instant::now();
    sandbox.freeze(Duration::from_secs(60));
    sandbox.thaw();
    assert_eq!(call(&sandbox, "GET", "/api/commands", "", Value::Null).status, 200);
    // One freeze takes the place of another.
    sandbox.freeze(Duration::from_secs(60));
    sandbox.freeze(Duration::from_millis(1));
    assert_eq!(call(&sandbox, "GET", "/api/commands", "", Value::Null).status, 200);
    sandbox.freeze(Duration::from_secs(60));
    sandbox.stop();
    sandbox.freeze(Duration::from_secs(60));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
