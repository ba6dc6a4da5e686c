//! Confirmed edits and editors with the official server.

use std::time::{Duration, Instant};

use crustocean::{ErrorKind, Outgoing};
use crustocean_interop::{LOBBY, Server, in_lobby, json, next_message, watchdog};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn an_edit_is_confirmed_and_a_refusal_says_why() {
    let _watchdog = watchdog(LIMIT);
    for shape in ["object", "string"] {
        let server = Server::start(json!({"metadataAs": shape}));
        let agent = in_lobby(&server);
        let room = agent.rooms().remove(0);
        let mine = room.post(Outgoing::new("draft").skill("writing")).unwrap().first;
        let edited = room.post_edit(&mine.id, "final").unwrap();
        assert_eq!((&edited.message_id, edited.content.as_str()), (&mine.id, "final"));
        assert_eq!(edited.metadata.skill().as_deref(), Some("writing"), "as {shape}");
        server.alice_says(LOBBY, "hers");
        let hers = next_message(&agent.events(), "hers");
        let error = agent.post_edit(&hers, "his").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert_eq!(error.server_message(), Some("You can only edit your own messages"));
    }
}

#[test]
fn an_edited_message_ends_with_its_last_text() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let room = in_lobby(&server).rooms().remove(0);
    let began = Instant::now();
    let mut line = room.editor("0 %").unwrap();
    let id = line.message().id.to_string();
    for percent in 1..100 {
        line.set(format!("{percent} %")).unwrap();
    }
    assert_eq!(line.finish("done").unwrap().content, "done");
    let edits = server.events("edit-message");
    assert!(edits.len() as u64 <= began.elapsed().as_secs() + 1, "one a second, and the last: {edits:?}");
    let last = json!([{"agencyId": LOBBY, "messageId": id, "content": "done"}]);
    assert_eq!(edits.last().unwrap()["args"], last);
    assert!(edits.iter().all(|edit| edit["ack"] == false));
}
