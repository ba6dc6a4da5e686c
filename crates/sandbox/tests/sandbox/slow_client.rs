//! Clients that do not read: what waits for them is bounded in bytes.

use crate::common::{PATIENCE, Socket, call};
use crustocean_sandbox::{Credentials, Sandbox};
use serde_json::{Value, json};

/// What may wait for one client.
const MOST: usize = 2_000_000;
/// What the system takes off a client's hands, at most, and somewhat more.
const SYSTEM: usize = 40_000_000;
/// A message that goes to all.
const SIZE: usize = 200_000;

/// Says so much that a client which does not read is cut; gives the number of bytes it took.
fn flood(sandbox: &Sandbox, alice: &Credentials, others: usize) -> usize {
    let lobby = sandbox.lobby_id();
    let text = "x".repeat(SIZE);
    let mut said = 0;
    while sandbox.connections() > others {
        assert!(said < MOST + SYSTEM, "it may have everything");
        sandbox.say(&lobby, &alice.id, &text, Value::Null).unwrap();
        said += SIZE;
    }
    said
}

#[test]
fn a_websocket_that_is_not_read_is_cut_and_the_others_go_on() {
    let sandbox = Sandbox::builder().max_messages(2).max_waiting(MOST).start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let _slow = Socket::join(&sandbox, &alice.token, &sandbox.lobby_id());
    let said = flood(&sandbox, &alice, 0);
    assert!(said >= MOST, "cut after {said}");
    // Whoever reads gets everything, however much it is.
    let mut fast = Socket::join(&sandbox, &alice.token, &sandbox.lobby_id());
    let text = "y".repeat(SIZE);
    for _ in 0..50 {
        sandbox.say(&sandbox.lobby_id(), &alice.id, &text, Value::Null).unwrap();
        assert_eq!(fast.wait("message")["content"].as_str().map(str::len), Some(SIZE));
    }
    assert_eq!(sandbox.connections(), 1);
}

#[test]
fn a_client_that_does_not_poll_is_cut() {
    let sandbox = Sandbox::builder().max_messages(2).max_waiting(MOST).start().unwrap();
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
    // What it fetches does not wait any more.
    http.get(&url).call().unwrap().into_body().read_to_string().unwrap();
    let said = flood(&sandbox, &alice, 0);
    assert!(said >= MOST - SIZE, "cut after {said}");
    assert_eq!(call(&sandbox, "GET", "/api/commands", "", Value::Null).status, 200);
    let gone = http.get(&url).call().unwrap_err();
    assert!(matches!(gone, ureq::Error::StatusCode(400)), "{gone}");
}
