//! A server with connection state recovery adds an offset to the arguments of its events, and may replay missed events.
//! The agent receives each message once in both cases.

use std::time::Duration;

use crustocean::{Event, Events};
use crustocean_interop::{LOBBY, Server, in_lobby, json, next, next_message, watchdog};

const LIMIT: Duration = Duration::from_secs(60);

fn recovering() -> Server {
    Server::start(json!({"connectionStateRecovery": true}))
}

/// The texts of all messages up to the one with this text.
fn heard_until(events: &Events, last: &str) -> Vec<String> {
    let mut heard = Vec::new();
    next(events, last, |event| match event {
        Event::Message(message) => {
            heard.push(message.content.clone());
            (message.content == last).then_some(())
        }
        Event::Undecodable { name, reason, .. } => panic!("{name}: {reason}"),
        _ => None,
    });
    heard
}

#[test]
fn the_offset_changes_no_event() {
    let _watchdog = watchdog(LIMIT);
    let server = recovering();
    let agent = in_lobby(&server);
    let events = agent.events();
    server.alice_says(LOBBY, "hello");
    let message = next_message(&events, "hello");
    agent.edit(&message, "not mine").unwrap();
    next(&events, "error", |event| matches!(event, Event::ServerError { .. }).then_some(()));
    server.emit(LOBBY, "brand-new", json!([1, {"two": 2}]));
    let raw = next(&events, "brand-new", |event| match event {
        Event::Other(raw) if raw.name() == "brand-new" => Some(raw.clone()),
        _ => None,
    });
    assert_eq!(raw.first::<u8>().unwrap(), 1);
}

#[test]
fn a_reconnect_repeats_no_received_message() {
    let _watchdog = watchdog(LIMIT);
    let server = recovering();
    let agent = in_lobby(&server);
    let events = agent.events();
    for text in ["one", "two"] {
        server.alice_says(LOBBY, text);
        next_message(&events, text);
    }
    server.cut();
    next(&events, "Disconnected", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    agent.send("three").unwrap();
    server.alice_says(LOBBY, "four");
    assert_eq!(heard_until(&events, "four"), ["three", "four"]);
    assert_eq!(server.engines(), 1);
}

#[test]
fn the_server_resumes_a_lost_session() {
    let _watchdog = watchdog(LIMIT);
    let server = recovering();
    let agent = in_lobby(&server);
    let events = agent.events();
    server.alice_says(LOBBY, "one");
    next_message(&events, "one");
    server.cut();
    next(&events, "Disconnected", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    server.alice_says(LOBBY, "meanwhile");
    let recovered = next(&events, "Connected", |event| match event {
        Event::Connected { recovered, .. } => Some(*recovered),
        _ => None,
    });
    assert!(recovered, "asked with pid and offset, and the server knows them");
    server.alice_says(LOBBY, "after");
    assert_eq!(heard_until(&events, "after"), ["meanwhile", "after"]);
}
