//! Rooms: joining all at once, opening direct conversations, leaving, and presence.

use std::time::Duration;

use crate::common::{
    SOON, ScriptedServer, TestSandbox, eventually, scripted, wait_for, wait_for_message, watchdog,
};
use crustocean::{ErrorKind, Event, Room};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

fn slugs(rooms: &[Room]) -> Vec<&str> {
    let mut slugs: Vec<_> = rooms.iter().filter_map(Room::slug).collect();
    slugs.sort_unstable();
    slugs
}

#[test]
fn all_member_agencies_are_joined_at_once() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.connect("larry");
    let client = sandbox.client();
    for name in ["Red", "Green", "Blue"] {
        let agency = client.agencies().create(name).private(true).send().unwrap();
        client.agencies().add_agent(&agency.id, "larry").unwrap();
    }
    sandbox.add_agency("Not Mine", &sandbox.alice.id).unwrap();
    larry.set_home(&larry.join("lobby").unwrap()).unwrap();
    sandbox.clear_records();
    let rooms = larry.join_all().unwrap();
    assert_eq!(slugs(&rooms), ["blue", "green", "lobby", "red"]);
    assert_eq!(slugs(&larry.rooms()), ["blue", "green", "lobby", "red"]);
    let blue = rooms.iter().find(|room| room.slug() == Some("blue")).unwrap();
    assert_eq!((blue.name(), blue.is_dm()), (Some("Blue"), false));
    assert!(blue.members().iter().any(|member| member.username == "alice"));
    assert!(blue.fetch_members().unwrap().iter().any(|member| member.username == "larry"));
    let joins = sandbox.events().into_iter().filter(|(name, _)| name == "join-agency").count();
    assert_eq!(joins, 3, "the lobby is joined already");

    // `send` still uses the home room, all rooms send events, also after a reconnect.
    larry.send("in the lobby").unwrap();
    let events = larry.events();
    assert_eq!(wait_for_message(&events, "in the lobby").agency_id.as_str(), sandbox.lobby_id());
    sandbox.drop_links();
    eventually("the link is lost", || !larry.is_connected());
    eventually("the link is back", || larry.is_connected());
    for room in &rooms {
        sandbox.say(room.id().as_str(), &sandbox.alice.id, "anybody?", Value::Null).unwrap();
        assert_eq!(&wait_for_message(&events, "anybody?").agency_id, room.id());
    }
}

#[test]
fn a_room_that_cannot_be_joined_does_not_affect_the_others() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        // The agent joins all three at once. It tries the refused room again alone, because only then the error
        // certainly belongs to it.
        for expected in ["ag-1", "ag-2", "ag-3", "ag-2"] {
            let joined = conn.expect_event("join-agency");
            assert_eq!(joined["agencyId"], expected);
            let answer = match expected {
                "ag-2" => ("error", json!({"message": "No room for you"})),
                id => ("agency-joined", json!({"agencyId": id, "members": []})),
            };
            conn.send_event(answer.0, answer.1);
        }
        conn.recv(SOON);
    });
    server.on("GET", "/api/agencies", |_| {
        let agency = |n: u8, member: bool| json!({"id": format!("ag-{n}"), "slug": format!("s-{n}"), "isMember": member});
        crate::common::Response::json(200, json!([agency(1, true), agency(2, true), agency(3, true), agency(4, false)]))
    });
    let agent = scripted(&server);
    let rooms = agent.join_all().unwrap();
    assert_eq!(slugs(&rooms), ["s-1", "s-3"]);
    assert_eq!(slugs(&agent.rooms()), ["s-1", "s-3"]);
    let (room, why) = wait_for(&agent.events(), "failed join", |event| match event {
        Event::JoinFailed { agency_id, error, .. } => Some((agency_id, error)),
        _ => None,
    });
    assert_eq!((room.as_str(), why.server_message()), ("ag-2", Some("No room for you")));
    // No home room is set.
    assert_eq!(agent.send("hello?").unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_left_room_sends_no_more_events() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let id = sandbox.add_agency("Noisy", &sandbox.alice.id).unwrap();
    let larry = sandbox.in_lobby("larry");
    let noisy = larry.join("noisy").unwrap();
    sandbox.client().agencies().add_agent(noisy.id(), "larry").unwrap();
    let events = larry.events();
    let say = |room: &str, text: &str| sandbox.say(room, &sandbox.alice.id, text, Value::Null).unwrap();
    say(&id, "before");
    wait_for_message(&events, "before");
    // A message in the queue when the room is left is not delivered either.
    say(&id, "too late");
    noisy.leave().unwrap();
    assert!(
        !sandbox.client().agencies().members(noisy.id()).unwrap().iter().any(|who| who.username == "larry")
    );
    assert_eq!(larry.rooms().len(), 1);
    larry.send("in the lobby again").unwrap();
    for round in 0..2 {
        say(&id, "unheard");
        let marker = format!("heard {round}");
        sandbox.alice_says(&marker);
        let heard = wait_for(&events, &marker, |event| match event {
            Event::Message(message) if !message.content.contains("in the lobby again") => {
                Some(message.content)
            }
            _ => None,
        });
        assert_eq!(heard, marker);
        sandbox.drop_links();
        eventually("the link is lost", || !larry.is_connected());
        eventually("the link is back", || larry.is_connected());
    }

    // After joining again, new messages arrive, but not those sent meanwhile.
    larry.join("noisy").unwrap();
    say(&id, "welcome back");
    assert_eq!(wait_for_message(&events, "").content, "welcome back");
}

#[test]
fn messages_of_a_left_room_are_ignored_if_the_server_still_sends_them() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let other = sandbox.add_agency("Other", &sandbox.alice.id).unwrap();
    larry.join("other").unwrap();
    let lobby = larry.rooms().remove(0);
    assert_eq!(lobby.slug(), Some("lobby"));
    let events = larry.events();
    // Nobody can leave the Lobby: the server refuses, and goes on sending.
    assert_eq!(lobby.leave().unwrap_err().kind(), ErrorKind::Forbidden);
    sandbox.alice_says("anybody?");
    sandbox.say(&other, &sandbox.alice.id, "here", Value::Null).unwrap();
    assert_eq!(wait_for_message(&events, "").content, "here");
}

#[test]
fn a_conversation_is_opened_by_name() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let room = larry.open_dm("@alice").unwrap();
    assert_eq!((room.name(), room.slug(), room.is_dm()), (Some("alice"), None, true));
    assert_eq!(larry.open_dm("alice").unwrap().id(), room.id());
    room.post("psst").unwrap();
    let seen = sandbox.client().dms().messages(room.id()).send().unwrap();
    assert_eq!(seen[0].content, "psst");
    sandbox.say(room.id().as_str(), &sandbox.alice.id, "yes?", Value::Null).unwrap();
    let heard = wait_for_message(&larry.events(), "yes?");
    assert!(heard.dm);
    let texts: Vec<_> = larry.room_of(&heard).recent(10).unwrap().into_iter().map(|m| m.content).collect();
    assert_eq!(texts, ["psst", "yes?"]);
    larry.send("in the open").unwrap();
    assert!(!wait_for_message(&larry.events(), "in the open").dm);
    assert_eq!(larry.open_dm("nobody-here").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(larry.open_dm("@").unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_direct_conversation_is_recognized_by_the_path_of_its_history() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        conn.recv(SOON);
    });
    let agent = scripted(&server);
    let id = "00000000-0000-4000-8000-000000000009";
    server.on("GET", &format!("/api/dm/{id}/messages"), |_| {
        let message =
            json!({"id": "m-1", "agency_id": "x", "content": "psst", "created_at": "2026-01-01T00:00:00Z"});
        crate::common::Response::json(200, json!([message]))
    });
    // Joined by its id, which does not show the kind of room.
    let room = agent.join(id).unwrap();
    assert!(room.is_dm() && agent.rooms()[0].is_dm());
    assert_eq!(room.history().limit(1).send().unwrap()[0].content, "psst");
}

#[test]
fn the_last_messages_come_oldest_first() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    for n in 0..120 {
        sandbox.alice_says(&n.to_string());
    }
    let larry = sandbox.in_lobby("larry");
    let room = larry.rooms().remove(0);
    let texts =
        |count| room.recent(count).unwrap().into_iter().map(|message| message.content).collect::<Vec<_>>();
    assert_eq!(texts(3), ["117", "118", "119"]);
    assert!(texts(0).is_empty());
    // The rooms do not fit on one page.
    let all = texts(usize::MAX);
    assert!(all.len() > 100 && all[all.len() - 1] == "119", "{}", all.len());
    assert_eq!(room.history().limit(1).send().unwrap()[0].content, "119");
}

#[test]
fn presence_events_are_typed_as_far_as_documented() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let events = larry.events();
    let ben = sandbox.in_lobby("ben");
    let online = wait_for(&events, "presence", |event| match event {
        Event::MemberPresence(presence) if presence.username.as_deref() == Some("ben") => Some(presence),
        _ => None,
    });
    assert_eq!(online.agency_id.unwrap().as_str(), sandbox.lobby_id());
    assert_eq!((online.user_id.as_ref(), online.status.as_deref()), (Some(&ben.user().id), Some("online")));
    sandbox.add_user("bob").unwrap();
    let lobby = sandbox.lobby_id();
    let changed = wait_for(&events, "members-updated", |event| match event {
        Event::MembersUpdated(presence) => Some(presence),
        _ => None,
    });
    assert_eq!(changed.agency_id.unwrap().as_str(), lobby);

    // The payloads are not documented, so every payload must become an event.
    for payload in ["{}", "null", "[7]", r#"{"status":{"mood":"good"},"agencyId":7,"x":{"\ud800":1}}"#] {
        sandbox.emit_raw_to_agency(&lobby, "agent-status", payload).unwrap();
        let raw = wait_for(&events, "agent-status", |event| match event {
            Event::AgentStatus(presence) => Some(presence.raw().args().to_owned()),
            _ => None,
        });
        assert_eq!(raw, payload);
    }
}
