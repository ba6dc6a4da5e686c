//! Leaving a room without being a member, and the room of a message.

use std::time::Duration;

use crate::common::{Response, ScriptedServer, TestSandbox, scripted, wait_for_message, watchdog};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

fn leaves(is_member: bool) -> crustocean::Result<()> {
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        conn.until_gone(LIMIT);
    });
    server.on("POST", "/api/agencies/ag-1/leave", |_| {
        Response::json(400, json!({"error": "You are not a member"}))
    });
    server.on("GET", "/api/agencies", move |_| {
        Response::json(200, json!([{"id": "ag-1", "slug": "lobby", "name": "Lobby", "isMember": is_member}]))
    });
    let agent = scripted(&server);
    let room = agent.join("lobby").unwrap();
    let outcome = room.leave();
    assert!(agent.rooms().is_empty(), "it is left here, whatever the server says");
    outcome
}

#[test]
fn leaving_without_a_membership_is_not_an_error() {
    let _watchdog = watchdog(LIMIT);
    leaves(false).unwrap();
}

#[test]
fn a_refused_leave_of_a_member_is_an_error() {
    let _watchdog = watchdog(LIMIT);
    let error = leaves(true).unwrap_err();
    assert_eq!((error.status(), error.server_message()), (Some(400), Some("You are not a member")));
}

#[test]
fn the_room_of_a_message_knows_its_members() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let events = larry.events();
    sandbox.alice_says("who is here?");
    let message = wait_for_message(&events, "who is here?");
    let room = larry.room_of(&message);
    let mut names: Vec<&str> = room.members().iter().map(|member| member.username.as_str()).collect();
    names.sort_unstable();
    assert!(names.contains(&"alice") && names.contains(&"larry"), "{names:?}");
    let joined = larry.rooms().remove(0);
    assert_eq!(room.members().len(), joined.members().len());
}
