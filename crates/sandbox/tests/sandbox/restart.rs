//! A server that is stopped and started again.

// Helpers outside of test functions may panic, too.
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, Socket, agent_session, call, get, post, text};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

#[test]
fn a_resumed_sandbox_has_the_same_data_and_port() {
    let sandbox = Sandbox::start().unwrap();
    let (url, port) = (sandbox.url().to_owned(), sandbox.port());
    let alice = sandbox.add_user("alice").unwrap();
    let bot = sandbox.add_agent("mybot", &alice.id).unwrap();
    let session = agent_session(&sandbox, &bot.token);
    let room = sandbox.add_agency("Shop", &alice.id).unwrap();
    let lobby = sandbox.lobby_id();
    let said = sandbox.say(&room, &alice.id, "before", Value::Null).unwrap();
    let mut socket = Socket::join(&sandbox, &session, &lobby);

    let start = Instant::now();
    let state = sandbox.suspend();
    assert!(start.elapsed() < PATIENCE);
    assert_eq!(socket.packet(), None);
    // No server listens: a connection is refused at once.
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!((state.port(), sandbox.messages(&room).len()), (port, 1));

    for round in 0..3 {
        let sandbox = Sandbox::builder().resume(state.clone()).start().unwrap();
        assert_eq!(sandbox.url(), url);
        assert_eq!(get(&sandbox, "/api/auth/me", &session)["username"], "mybot");
        assert_eq!(get(&sandbox, "/api/auth/me", &alice.token)["username"], "alice");
        assert_eq!(sandbox.lobby_id(), lobby);
        let kept = &sandbox.messages(&room)[0];
        assert_eq!((&kept.id, kept.content.as_str(), kept.sender.as_str()), (&said, "before", "alice"));
        // Sessions stay valid, but rooms must be joined again.
        let mut socket = Socket::connect(&sandbox, &session);
        sandbox.emit_to_agency(&lobby, "not-for-you", json!({}));
        socket.emit("join-agency", json!({ "agencyId": lobby }));
        socket.wait("agency-joined");
        sandbox.say(&lobby, &alice.id, &format!("round {round}"), Value::Null).unwrap();
        assert_eq!(socket.wait("message")["content"], json!(format!("round {round}")));
        // The records are empty.
        assert_eq!(sandbox.handshakes().len(), 1);
        sandbox.stop();
        assert_eq!(socket.packet(), None);
    }
}

#[test]
fn a_resumed_sandbox_may_have_another_port_and_other_settings() {
    let first = Sandbox::start().unwrap();
    let user = json!({ "username": "alice", "password": "password1" });
    let session = text(&post(&first, "/api/auth/register", "", user)["token"]);
    let state = first.suspend();
    let second = Sandbox::builder().resume(state.clone()).port(0).metadata_as_string(true).start().unwrap();
    assert_eq!(call(&second, "GET", "/api/auth/me", &session, Value::Null).status, 200);
    // The old port is free for another program.
    drop(std::net::TcpListener::bind(("127.0.0.1", state.port())).unwrap());
    assert!(!format!("{state:?} {:?}", Sandbox::builder().resume(state.clone())).contains("alice"));
}

#[test]
fn stopping_closes_waiting_requests() {
    let sandbox = Sandbox::start().unwrap();
    sandbox.delay_next(1, Duration::from_secs(60));
    let url = format!("{}/api/commands", sandbox.url());
    let waiting = std::thread::spawn(move || {
        let start = Instant::now();
        (ureq::get(url).call().is_err(), start.elapsed())
    });
    while sandbox.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _state = sandbox.suspend();
    let (failed, took) = waiting.join().unwrap();
    assert!(failed && took < PATIENCE, "after {took:?}");
}
