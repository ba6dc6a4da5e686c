//! Clients that do not read: the bytes that wait for them are limited.

use crate::common::{PATIENCE, Socket, call};
use crustocean_sandbox::{Credentials, Sandbox};
use serde_json::{Value, json};

/// How many bytes may wait for one client.
const MAX_WAITING: usize = 2_000_000;
/// More than the buffers of the operating system take.
const SYSTEM: usize = 40_000_000;
/// The text of a large message.
const SIZE: usize = 200_000;

/// Posts messages until a client that does not read is disconnected. Returns the number of bytes.
fn flood(sandbox: &Sandbox, alice: &Credentials, others: usize) -> usize {
    let lobby = sandbox.lobby_id();
    let text = "x".repeat(SIZE);
    let mut said = 0;
    while sandbox.connections() > others {
        assert!(said < MAX_WAITING + SYSTEM, "it may have everything");
        sandbox.say(&lobby, &alice.id, &text, Value::Null).unwrap();
        said += SIZE;
    }
    said
}

#[test]
fn an_unread_websocket_is_closed_and_the_others_go_on() {
    let sandbox = Sandbox::builder().max_messages(2).max_waiting(MAX_WAITING).start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let _slow = Socket::join(&sandbox, &alice.token, &sandbox.lobby_id());
    let said = flood(&sandbox, &alice, 0);
    assert!(said >= MAX_WAITING, "cut after {said}");
    // A client that reads gets everything.
    let mut fast = Socket::join(&sandbox, &alice.token, &sandbox.lobby_id());
    let text = "y".repeat(SIZE);
    for _ in 0..50 {
        sandbox.say(&sandbox.lobby_id(), &alice.id, &text, Value::Null).unwrap();
        assert_eq!(fast.wait("message")["content"].as_str().map(str::len), Some(SIZE));
    }
    assert_eq!(sandbox.connections(), 1);
}

#[test]
fn a_client_that_does_not_poll_is_disconnected() {
    let sandbox = Sandbox::builder().max_messages(2).max_waiting(MAX_WAITING).start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let http = ureq::Agent::from(ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build());
    let url = format!("{}/socket.io/?EIO=4&transport=polling", sandbox.url());
    let opened = http.get(&url).call().unwrap().into_body().read_to_string().unwrap();
    let opened: Value = serde_json::from_str(opened.trim_start_matches('0')).unwrap();
    let url = format!("{url}&sid={}", opened["sid"].as_str().unwrap());
    http.post(&url).send(format!("40{}", json!({ "token": alice.token }))).unwrap();
    let joined = json!(["join-agency", { "agencyId": sandbox.lobby_id() }]);
    http.post(&url).send(format!("42{joined}")).unwrap();
    sandbox.wait_for_event("join-agency", PATIENCE).unwrap();
    // Fetched bytes no longer count.
    http.get(&url).call().unwrap().into_body().read_to_string().unwrap();
    let said = flood(&sandbox, &alice, 0);
    assert!(said >= MAX_WAITING - SIZE, "cut after {said}");
    assert_eq!(call(&sandbox, "GET", "/api/commands", "", Value::Null).status, 200);
    let gone = http.get(&url).call().unwrap_err();
    assert!(matches!(gone, ureq::Error::StatusCode(400)), "{gone}");
}
