//! Events that need a real server: binary attachments, and JSON that serde_json refuses.

use std::time::Duration;

use crustocean::Event;
use crustocean_interop::{AGENT, LOBBY, Server, Value, in_lobby, json, next, next_message, watchdog};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn binary_attachments_arrive_with_their_event() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let events = agent.events();
    let args =
        json!([{"first": {"$binary": "AQID"}, "rest": [{"$binary": ""}, {"$binary": "BA=="}]}, "text"]);
    server.emit(AGENT, "blob", args);
    server.alice_says(LOBBY, "behind it");
    let raw = next(&events, "blob", |event| match event {
        Event::Other(raw) if raw.name() == "blob" => Some(raw.clone()),
        _ => None,
    });
    assert_eq!(raw.attachments().collect::<Vec<_>>(), [&[1, 2, 3][..], &[], &[4]]);
    let placeholder = |num: u8| json!({"_placeholder": true, "num": num});
    let expected = json!({"first": placeholder(0), "rest": [placeholder(1), placeholder(2)]});
    assert_eq!(raw.first::<Value>().unwrap(), expected);
    next_message(&events, "behind it");
}

#[test]
fn text_that_only_javascript_accepts_loses_only_itself() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let events = agent.events();
    // Half of a surrogate pair, then metadata 300 levels deep. Any user can post either.
    server.command(json!({"cmd": "oddity", "agency": LOBBY}));
    server.alice_says(LOBBY, "next");
    let mut heard = Vec::new();
    next(&events, "next", |event| match event {
        Event::Message(message) => {
            heard.push(message.content.clone());
            (message.content == "next").then_some(())
        }
        Event::Undecodable { name, .. } => {
            heard.push(format!("undecodable {name}"));
            None
        }
        _ => None,
    });
    // The lone surrogate is replaced. The metadata of the second message is decoded only on request.
    assert_eq!(heard, ["half \u{fffd}", "deep", "next"]);
    assert!(agent.is_connected());
    assert_eq!(server.log(&["connect"]).len(), 1);
}
