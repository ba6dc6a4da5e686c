//! Freezing the server.

// Helpers outside of test functions may panic, too.
use std::time::{Duration, Instant};

use crate::common::{Socket, call, get, post};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

/// Sets a fault as `curl -d` does, on a connection of its own.
fn fault(sandbox: &Sandbox, fault: &str) -> Value {
    post(sandbox, "/_sandbox/fault", "", json!({ "fault": fault }))
}

#[test]
fn a_frozen_server_answers_nothing_and_closes_no_connection() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let lobby = sandbox.lobby_id();
    let mut socket = Socket::join(&sandbox, &alice.token, &lobby);
    let start = Instant::now();
    let freeze = Duration::from_secs(3);
    sandbox.freeze(freeze);
    assert!(start.elapsed() < freeze, "freeze() waits for its end");
    socket.emit("send-message", json!({ "agencyId": lobby, "content": "anybody?" }));
    assert_eq!(call(&sandbox, "GET", "/api/commands", "", Value::Null).status, 200);
    assert!(start.elapsed() >= freeze, "answered after {:?}", start.elapsed());
    // The same connection goes on, and no data sent to it is lost.
    assert_eq!(socket.wait("message")["content"], "anybody?");
    assert_eq!(sandbox.connections(), 1);
}

#[test]
fn a_freeze_ends_early_by_thaw_or_when_the_sandbox_stops() {
    let sandbox = Sandbox::start().unwrap();
    let start = Instant::now();
    sandbox.freeze(Duration::from_secs(60));
    sandbox.thaw();
    assert_eq!(call(&sandbox, "GET", "/api/commands", "", Value::Null).status, 200);
    // A second freeze replaces the first one.
    sandbox.freeze(Duration::from_secs(60));
    sandbox.freeze(Duration::from_millis(1));
    assert_eq!(call(&sandbox, "GET", "/api/commands", "", Value::Null).status, 200);
    sandbox.freeze(Duration::from_secs(60));
    sandbox.stop();
    sandbox.freeze(Duration::from_secs(60));
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn a_freeze_is_shown_and_ended_over_http() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let mut socket = Socket::join(&sandbox, &alice.token, &sandbox.lobby_id());
    for end in ["freeze=0", "off"] {
        let frozen = fault(&sandbox, "freeze=60s");
        assert!(frozen["faults"][0].as_str().unwrap().starts_with("freeze="), "{frozen}");
        let start = Instant::now();
        // The freeze begins shortly after the response. A busy machine can take a second for an answer.
        let stands = (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let quick = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(3)));
            ureq::Agent::from(quick.build()).get(format!("{}/api/commands", sandbox.url())).call().is_err()
        });
        assert!(stands, "it answers all the time");
        socket.emit("send-message", json!({ "agencyId": sandbox.lobby_id(), "content": end }));
        assert_eq!(get(&sandbox, "/_sandbox/messages", ""), json!([]), "it is read although it stands still");
        assert_eq!(fault(&sandbox, end)["faults"], json!([]));
        assert_eq!(socket.wait("message")["content"], end);
        assert!(start.elapsed() < Duration::from_secs(60), "the freeze ended by itself");
        post(&sandbox, "/_sandbox/clear", "", Value::Null);
    }
}
