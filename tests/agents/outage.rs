//! One agent has a failure, and the other agents of the set work on.

use std::collections::HashSet;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::common::{HoldingProxy, ScriptedServer, TestSandbox, scripted, watchdog};
use crate::events::next_message;
use crustocean::{Agent, AgentSet, Event};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn all_come_back_after_an_outage_and_miss_nothing() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agents = AgentSet::new().unwrap();
    for n in 0..20 {
        agents.add(sandbox.in_lobby(&format!("larry{n}"))).unwrap();
    }
    let events = agents.events();
    sandbox.drop_links();
    sandbox.alice_says("while away");
    let (mut heard, mut restored) = (HashSet::new(), HashSet::new());
    while heard.len() < 20 || restored.len() < 20 {
        let (agent, event) = events.recv_timeout(Duration::from_secs(20)).expect("an event");
        match event.expect("no agent ends") {
            Event::Disconnected { .. } => agent.reconnect_now(),
            Event::Connected { .. } => drop(restored.insert(agent.user().username.clone())),
            Event::Message(message) => {
                assert_eq!(message.content, "while away");
                assert!(heard.insert(agent.user().username.clone()), "twice");
            }
            _ => {}
        }
    }
    agents.close().unwrap();
}

#[test]
fn a_connection_that_is_held_up_holds_up_nobody_else() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let path = HoldingProxy::start(sandbox.url().strip_prefix("http://").unwrap());
    let agents = AgentSet::new().unwrap();
    let events = agents.events();
    let token = sandbox.agent_token("held");
    let held = Agent::builder().api_url(path.url()).connect_and_join(token, "lobby").unwrap();
    agents.add(held.clone()).unwrap();
    agents.add(sandbox.in_lobby("larry")).unwrap();
    // The proxy holds what this agent sends during the whole test, so its `join` gets no answer.
    path.hold();
    let joining = std::thread::spawn(move || held.join("elsewhere"));
    for n in 0..50 {
        sandbox.alice_says(&format!("hello {n}"));
        let started = Instant::now();
        loop {
            let (agent, message) = next_message(&events);
            if agent.user().username == "larry" {
                assert_eq!(message.content, format!("hello {n}"));
                break;
            }
        }
        assert!(started.elapsed() < Duration::from_secs(9));
    }
    path.release();
    drop(joining.join().unwrap());
    agents.close().unwrap();
}

#[test]
fn a_server_that_does_not_read_holds_up_nobody_else() {
    let _watchdog = watchdog(LIMIT);
    let (stuck, is_stuck) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        stuck.send(()).unwrap();
        // The server sends and does not read, so the agent's writes block.
        for _ in 0..600 {
            conn.send_event("noise", json!(1));
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let sandbox = TestSandbox::new();
    let agents = AgentSet::new().unwrap();
    let clogged = scripted(&server);
    agents.add(clogged.clone()).unwrap();
    agents.add(sandbox.in_lobby("larry")).unwrap();
    is_stuck.recv_timeout(Duration::from_secs(10)).unwrap();
    let writer = std::thread::spawn(move || {
        let text = "x".repeat(100_000);
        // The loop ends when a write exceeds its time limit.
        while clogged.raw().emit("much", &text).is_ok() {}
    });
    std::thread::sleep(Duration::from_millis(500));
    let events = agents.events();
    for n in 0..50 {
        sandbox.alice_says(&format!("hello {n}"));
        let asked = Instant::now();
        loop {
            let (agent, event) = events.recv_timeout(Duration::from_secs(10)).expect("an event");
            if agent.user().username == "larry" && matches!(event, Ok(Event::Message(_))) {
                break;
            }
        }
        assert!(asked.elapsed() < Duration::from_secs(7), "it waited for the write of another agent");
    }
    agents.close().ok();
    writer.join().unwrap();
}
