//! Faults that a test sets, and how they end.

// Helpers outside of test functions may panic, too.
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, Socket, call, get};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

#[test]
fn the_requested_number_of_requests_fail_or_are_delayed() {
    let sandbox = Sandbox::start().unwrap();
    let ask = || call(&sandbox, "GET", "/api/commands", "", Value::Null);
    sandbox.fail_next(1, 429, Some(Duration::from_millis(1_200)));
    sandbox.fail_next(1, 503, None);
    let limited = ask();
    assert_eq!((limited.status, limited.retry_after.as_deref()), (429, Some("2")));
    assert!(limited.body["error"].is_string());
    assert_eq!(ask().status, 503);
    assert_eq!(ask().status, 200);

    sandbox.delay_next(1, Duration::from_millis(200));
    let start = Instant::now();
    assert_eq!(ask().status, 200);
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(sandbox.requests(), vec!["GET /api/commands"; 4]);
    assert_eq!(call(&sandbox, "GET", "/api/nothing", "", Value::Null).status, 404);
}

#[test]
fn connections_close_without_a_disconnect_packet_and_leave_their_rooms() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let lobby = sandbox.lobby_id();
    let mut socket = Socket::join(&sandbox, &alice.token, &lobby);
    assert_eq!(sandbox.connections(), 1);
    sandbox.drop_links();
    assert_eq!(sandbox.connections(), 0);
    assert_eq!(socket.packet(), None);

    let mut socket = Socket::connect(&sandbox, &alice.token);
    sandbox.emit_to_agency(&lobby, "not-for-you", json!({}));
    sandbox.emit_to_user(&alice.id, "agent-run-interrupt", json!({ "runId": "r", "action": "stop" }));
    let first = socket.packet().unwrap();
    assert!(first.starts_with("42[\"agent-run-interrupt\""), "{first}");
    assert_eq!(sandbox.wait_for_events("join-agency", 2, Duration::from_millis(50)).len(), 1);
}

#[test]
fn raw_json_is_sent_unchanged() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let lobby = sandbox.lobby_id();
    let mut socket = Socket::join(&sandbox, &alice.token, &lobby);
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    for json in [r#"{"content":"\ud800"}"#, "1e999", &deep] {
        sandbox.emit_raw_to_agency(&lobby, "message", json).unwrap();
        assert_eq!(socket.packet().unwrap(), format!("42[\"message\",{json}]"));
    }
    assert!(sandbox.emit_raw_to_agency(&lobby, "message", "{").is_err());
}

#[test]
fn a_polling_session_is_closed_too() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let path = "/socket.io/?EIO=4&transport=polling";
    let open = call(&sandbox, "GET", path, "", Value::Null).body;
    let open: Value = serde_json::from_str(open.as_str().unwrap().strip_prefix('0').unwrap()).unwrap();
    let path = format!("{path}&sid={}", open["sid"].as_str().unwrap());
    let connect = format!("40{}", json!({ "token": alice.token }));
    let posted = ureq::post(format!("{}{path}", sandbox.url())).send(connect).unwrap();
    assert_eq!(posted.status(), 200);
    let answer = call(&sandbox, "GET", &path, "", Value::Null);
    assert!(answer.body.as_str().unwrap().contains("40{"), "{}", answer.body);

    sandbox.drop_links();
    assert_eq!(call(&sandbox, "GET", &path, "", Value::Null).status, 400);
}

#[test]
fn a_client_that_answers_no_heartbeat_is_dropped() {
    let sandbox = Sandbox::builder()
        .ping_interval(Duration::from_millis(400))
        .ping_timeout(Duration::from_millis(400))
        .start()
        .unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let socket = Socket::connect(&sandbox, &alice.token);
    let deadline = Instant::now() + PATIENCE;
    while sandbox.connections() > 0 {
        assert!(Instant::now() < deadline, "the dead client is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(socket);
}

#[test]
fn stopping_frees_the_port_at_once() {
    let sandbox = Sandbox::start().unwrap();
    let port = sandbox.port();
    let alice = sandbox.add_user("alice").unwrap();
    get(&sandbox, "/api/agencies", &alice.token);
    let mut socket = Socket::join(&sandbox, &alice.token, &sandbox.lobby_id());
    let taken = Sandbox::builder().port(port).start().unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);

    let start = Instant::now();
    sandbox.stop();
    sandbox.stop();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(socket.packet(), None);
    // The records still exist, and the port is free.
    assert!(sandbox.wait_for_event("join-agency", PATIENCE).is_some());
    drop(sandbox);
    drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
    assert_eq!(Sandbox::builder().port(port).start().unwrap().port(), port);
}
