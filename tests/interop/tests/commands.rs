//! Slash commands as the official server delivers them.

use std::time::Duration;

use crustocean::{Event, model::MessageType};
use crustocean_interop::{LOBBY, Server, in_lobby, json, next, next_message, watchdog};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_silent_command_and_a_visible_one() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let room = agent.rooms().remove(0);
    let quiet = room.command("/echo 10").send().unwrap();
    assert_eq!((quiet.ok, quiet.command.as_str(), quiet.content.as_str()), (true, "echo", "10"));
    assert_eq!((&quiet.kind, &quiet.message_id), (&MessageType::System, &None));
    let loud = room.command("/echo 20").visible().send().unwrap();
    let shown = next_message(&agent.events(), "20");
    assert_eq!(Some(&shown.id), loud.message_id.as_ref());
    assert!(shown.is_system());
    let failed = room.command("/dance").send().unwrap();
    assert!(!failed.ok && failed.ephemeral && failed.content.contains("/dance"), "{failed:?}");
    let queued = room.command("/queued").send().unwrap();
    assert!(queued.ok && queued.queued && queued.content.is_empty(), "{queued:?}");

    let sent = server.events("send-message");
    assert_eq!(sent[0]["args"], json!([{"agencyId": LOBBY, "content": "/echo 10", "silent": true}]));
    assert_eq!(sent[1]["args"], json!([{"agencyId": LOBBY, "content": "/echo 20", "silent": false}]));
    assert!(sent.iter().all(|entry| entry["ack"] == true));
}

#[test]
fn a_slow_command_can_be_awaited_inside_a_handler() {
    let _watchdog = watchdog(LIMIT);
    for shape in ["object", "string"] {
        let server = Server::start(json!({"metadataAs": shape}));
        let agent = in_lobby(&server);
        let room = agent.rooms().remove(0);
        server.alice_says(LOBBY, "go");
        let events = agent.events();
        next_message(&events, "go");
        let reply = room.command("/slow").send().unwrap();
        assert_eq!(
            (reply.content.as_str(), reply.pending, &reply.kind),
            ("done", false, &MessageType::ToolResult)
        );
        let edited = next(&events, "message-edited", |event| match event {
            Event::MessageEdited(edited) => Some(edited.clone()),
            _ => None,
        });
        assert_eq!(Some(edited.message_id), reply.message_id);
    }
}
