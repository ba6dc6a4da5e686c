//! Joining rooms.

use std::time::Duration;

use crate::common::{ScriptedServer, TestSandbox, scripted, wait_for, watchdog};
use crustocean::{Agent, ErrorKind, Event};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_room_is_joined_by_slug_or_by_id() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let id = sandbox.add_agency("My Team", &sandbox.alice.id).unwrap();
    let agent = sandbox.connect("larry");
    let room = agent.join("my-team").unwrap();
    assert_eq!(room.id().as_str(), id);
    assert_eq!(agent.join(&id).unwrap().id(), room.id());
    assert_eq!(agent.join(room.id()).unwrap().id(), room.id());
    assert!(room.members().iter().any(|member| member.username == "alice"));
    let joined = wait_for(&agent.events(), "agency-joined", |event| match event {
        Event::AgencyJoined(joined) => Some(joined.agency_id),
        _ => None,
    });
    assert_eq!(joined.as_str(), id);
}

#[test]
fn connect_and_join_does_both() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let token = sandbox.agent_token("larry");
    // `connect_and_join` reads the URL from the environment. Here the URL is given, so the test makes the two steps.
    let agent = sandbox.builder().connect(token).unwrap();
    agent.join("Lobby").unwrap();
    assert_eq!(agent.rooms().len(), 1);
}

#[test]
fn an_unknown_agency_is_not_found() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.connect("larry");
    let error = agent.join("atlantis").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("atlantis"), "{error}");
    assert_eq!(agent.join("").unwrap_err().kind(), ErrorKind::Invalid);
    // The crate does not check an id. The server refuses it.
    let error = agent.join("00000000-0000-4000-8000-000000000000").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.server_message().is_some() && error.to_string().contains("(check the id; "), "{error}");
    assert!(agent.is_connected() && agent.rooms().is_empty());
}

#[test]
fn a_private_agency_lets_in_only_members() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let client = sandbox.client();
    let agency = client.agencies().create("Secret Club").private(true).send().unwrap();
    let agent = sandbox.connect("larry");
    let error = agent.join(&agency.id).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Rejected), "{error}");
    assert!(
        error.to_string().contains("its owner adds the agent with client.agencies().add_agent(..)"),
        "{error}"
    );
    assert_eq!(agent.join("secret-club").unwrap_err().kind(), ErrorKind::NotFound, "it is in no list");

    client.agencies().add_agent(&agency.id, "larry").unwrap();
    assert_eq!(agent.join("secret-club").unwrap().id(), &agency.id);
}

#[test]
fn the_answer_to_another_join_is_ignored() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.expect_event("join-agency");
        conn.send_event("agency-joined", json!({"agencyId": "ag-9", "members": []}));
        conn.send_event("error", json!({"message": "about something else"}));
        conn.send_event("agency-joined", json!({"agencyId": "ag-1", "members": []}));
        conn.recv(Duration::from_secs(10));
    });
    let agent = scripted(&server);
    assert_eq!(agent.join("lobby").unwrap().id().as_str(), "ag-1");
    // The error event was about something else. The loop gets it like every other event.
    let said = wait_for(&agent.events(), "error", |event| match event {
        Event::ServerError { message, .. } => Some(message),
        _ => None,
    });
    assert_eq!(said, "about something else");
}

#[test]
fn a_server_that_does_not_answer_takes_only_the_join_timeout() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.expect_event("join-agency");
        conn.recv(Duration::from_secs(10));
    });
    let agent = Agent::builder()
        .api_url(server.url())
        .join_timeout(Duration::from_millis(200))
        .connect("sk_x".parse().unwrap())
        .unwrap();
    assert!(agent.join("lobby").unwrap_err().is_timeout());
    assert!(agent.is_connected());
}
