//! The thinking indicator: on, refreshed, and off.

use std::sync::mpsc;
use std::time::Duration;

use crate::common::runs::{assert_no_violations, lobby};
use crate::common::{
    SOON, ScriptedServer, TRANSPORTS, TestSandbox, eventually, scripted, wait_for, watchdog,
};
use crustocean::Event;
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

/// Returns what the room has shown: each status, or `off`.
fn shown(sandbox: &TestSandbox) -> Vec<String> {
    let events = sandbox.events().into_iter().filter(|(name, _)| name == "agent-thinking");
    events
        .map(|(_, payload)| match payload["thinking"] == true {
            true => payload["status"].as_str().unwrap_or("on").to_owned(),
            false => "off".to_owned(),
        })
        .collect()
}

#[test]
fn the_indicator_shows_until_it_is_dropped() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, room) = lobby(&sandbox, "larry");
    let thinking = room.thinking("reading the repo");
    let event = sandbox.wait_for_event("agent-thinking", SOON).unwrap();
    let me = agent.user();
    let expected = json!({
        "agencyId": room.id(), "thinking": true, "status": "reading the repo",
        "agentId": me.id, "username": me.username, "displayName": me.display_name,
    });
    assert_eq!(event, expected);
    thinking.set("writing");
    drop(thinking);
    let events = sandbox.wait_for_events("agent-thinking", 3, SOON);
    assert_eq!((&events[1]["status"], &events[2]["thinking"]), (&json!("writing"), &json!(false)));
    drop(room.thinking(""));
    eventually("on and off", || shown(&sandbox).len() == 5);
    assert_eq!(shown(&sandbox), ["reading the repo", "writing", "off", "on", "off"]);
    assert_no_violations(&sandbox);
}

#[test]
fn the_newest_of_several_indicators_shows() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, room) = lobby(&sandbox, "larry");
    sandbox.add_agency("Elsewhere", &sandbox.alice.id).unwrap();
    let elsewhere = agent.join("elsewhere").unwrap();
    let first = room.thinking("first");
    let second = room.thinking("second");
    let third = room.thinking("third");
    let other = elsewhere.thinking("other");
    drop(third);
    first.set("first, changed");
    drop(second);
    drop(first);
    drop(other);
    let expected = ["first", "second", "third", "other", "second", "first, changed", "off", "off"];
    eventually("all is shown", || shown(&sandbox).len() == expected.len());
    assert_eq!(shown(&sandbox), expected);
    let events = sandbox.wait_for_events("agent-thinking", 8, SOON);
    assert_eq!((&events[6]["agencyId"], &events[7]["agencyId"]), (&json!(room.id()), &json!(elsewhere.id())));
}

/// Several seconds pass between two refreshes, and the server sends nothing else.
#[test]
fn the_indicator_is_refreshed_while_the_handler_is_busy() {
    let _watchdog = watchdog(LIMIT);
    let (signs, seen) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        conn.accept_join();
        loop {
            let Some(text) = conn.recv_text(Duration::from_secs(20)) else { return };
            if let Some(json) = text.strip_prefix("42") {
                let event: Value = serde_json::from_str(json).unwrap();
                assert_eq!(event[0], "agent-thinking");
                signs.send(event[1]["thinking"] == true).unwrap();
            }
        }
    });
    let agent = scripted(&server);
    let room = agent.join("ag-1").unwrap();
    let events = agent.events();
    while events.try_recv().is_ok() {}
    // The handler is slow and nothing is queued, so another thread reads now.
    std::thread::sleep(Duration::from_millis(300));
    let thinking = room.thinking("slowly");
    for _ in 0..3 {
        assert_eq!(seen.recv_timeout(Duration::from_secs(12)), Ok(true));
    }
    drop(thinking);
    assert_eq!(seen.recv_timeout(SOON), Ok(false));
    assert!(seen.recv_timeout(Duration::from_secs(7)).is_err(), "it is over");
    agent.close().unwrap();
}

#[test]
fn the_indicator_is_refreshed_while_a_thread_waits_for_events() {
    let _watchdog = watchdog(LIMIT);
    for &transport in TRANSPORTS {
        let sandbox = TestSandbox::new();
        let agent = sandbox.builder().transport(transport).connect(sandbox.agent_token("larry")).unwrap();
        let room = agent.join("lobby").unwrap();
        let events = agent.events();
        let waiting = std::thread::spawn(move || events.count());
        let thinking = room.thinking("in the background");
        assert_eq!(sandbox.wait_for_events("agent-thinking", 2, Duration::from_secs(12)).len(), 2);
        drop(thinking);
        eventually("off", || shown(&sandbox).last().unwrap() == "off");
        agent.close().unwrap();
        waiting.join().unwrap();
    }
}

#[test]
fn a_new_connection_gets_the_indicator() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, room) = lobby(&sandbox, "larry");
    let thinking = room.thinking("still");
    let gone = room.thinking("gone by then");
    eventually("both are shown", || shown(&sandbox).len() == 2);
    let state = sandbox.suspend();
    eventually("the loss is noticed", || !agent.is_connected());
    drop(gone);
    let sandbox = TestSandbox::resumed(state, sandbox.alice);
    agent.reconnect_now();
    assert_eq!(sandbox.wait_for_event("agent-thinking", SOON).unwrap()["status"], "still");

    // Ends the indicator while the agent is disconnected.
    let state = sandbox.suspend();
    eventually("the loss is noticed", || !agent.is_connected());
    drop(thinking);
    let sandbox = TestSandbox::resumed(state, sandbox.alice);
    agent.reconnect_now();
    assert_eq!(sandbox.wait_for_event("agent-thinking", SOON).unwrap()["thinking"], false);
    let names: Vec<String> = sandbox.events().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.first().map(String::as_str), Some("join-agency"), "in the room first");
    assert_no_violations(&sandbox);
}

#[test]
fn a_new_connection_gets_the_indicator_at_once() {
    let _watchdog = watchdog(LIMIT);
    let (told, seen) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        conn.accept_join();
        if conn.index == 0 {
            conn.expect_event("agent-thinking");
            return;
        }
        // Long before the next refresh.
        let text = conn.recv_text(Duration::from_secs(3)).expect("a refresh");
        assert!(text.contains("agent-thinking") && text.contains("true"), "{text}");
        told.send(()).unwrap();
        conn.until_gone(SOON);
    });
    let agent = scripted(&server);
    let thinking = agent.join("ag-1").unwrap().thinking("still");
    let events = agent.events();
    wait_for(&events, "the loss", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    agent.reconnect_now();
    seen.recv_timeout(SOON).unwrap();
    drop(thinking);
    agent.close().unwrap();
    server.finish(SOON);
}

#[test]
fn a_left_room_gets_no_more_indicators() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agency = sandbox.add_agency("Elsewhere", &sandbox.alice.id).unwrap();
    let agent = sandbox.connect("larry");
    let (left, lost) = (agent.join("lobby").unwrap(), agent.join("elsewhere").unwrap());
    let in_left = left.thinking("goodbye");
    left.leave().unwrap_err();
    eventually("on and off", || shown(&sandbox) == ["goodbye", "off"]);
    drop(in_left);

    // Closes the agent while it is disconnected.
    let in_lost = lost.thinking("hello?");
    eventually("shown", || shown(&sandbox).len() == 3);
    let state = sandbox.suspend();
    eventually("the loss is noticed", || !agent.is_connected());
    // Deletes the room before the agent can reconnect. For this, the same data runs on another port first.
    let elsewhere = Sandbox::builder().resume(state.clone()).port(0).start().unwrap();
    let elsewhere = TestSandbox { server: elsewhere, alice: sandbox.alice };
    elsewhere.client().agencies().delete(&agency.into()).unwrap();
    elsewhere.stop();
    let sandbox = TestSandbox::resumed(state, elsewhere.alice);
    agent.reconnect_now();
    let events = agent.events();
    wait_for(&events, "the loss of the room", |event| matches!(event, Event::RoomLost { .. }).then_some(()));
    eventually("back", || agent.is_connected());
    drop(in_lost);
    agent.close().unwrap();
    assert!(shown(&sandbox).is_empty(), "{:?}", shown(&sandbox));
}

#[test]
fn the_indicator_neither_fails_nor_waits() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, room) = lobby(&sandbox, "larry");
    agent.close().unwrap();
    let thinking = room.thinking("nobody hears it");
    thinking.set("still nobody");
    drop(thinking);
    assert!(shown(&sandbox).is_empty());
}
