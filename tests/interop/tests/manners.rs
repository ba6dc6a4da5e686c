//! Messages to answer, and rooms that the agent joins automatically.

use std::time::Duration;

use crustocean::{ErrorKind, Event, Events, Mentions, Room};
use crustocean_interop::{
    AGENT, DEN, DM, LOBBY, Server, connect, in_lobby, json, next, next_message, watchdog,
};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

/// The texts of the next messages to answer, up to this one.
fn until(mentions: &Mentions, last: &str) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text| text != last) {
        match mentions.recv_timeout(SOON) {
            Ok(message) => texts.push(message.content.clone()),
            Err(error) => panic!("waiting for {last}: {error}. Came: {texts:?}"),
        }
    }
    texts
}

fn ids(rooms: &[Room]) -> Vec<&str> {
    rooms.iter().map(|room| room.id().as_str()).collect()
}

fn invited(events: &Events) -> String {
    next(events, "agency-invited", |event| match event {
        Event::AgencyInvited(invitation) => Some(invitation.agency_id.to_string()),
        _ => None,
    })
}

#[test]
fn mentions_yields_only_messages_to_answer() {
    let _watchdog = watchdog(LIMIT);
    for metadata_as in ["object", "string"] {
        let server = Server::start(json!({"metadataAs": metadata_as}));
        let agent = in_lobby(&server);
        agent.join_dms().unwrap();
        let mentions = agent.mentions();
        agent.post("@mybot to myself").unwrap();
        server.alice_says(LOBBY, "nobody is meant");
        server.alice_says(LOBBY, "@mybot one");
        server.alice_says(DM, "two");
        for (content, metadata) in [
            ("@mybot from a hook", json!({"webhook": true})),
            ("@mybot three", json!({"webhook": true, "heartbeat": true})),
            ("@mybot too often", json!({"loop_guard": {"hop": 20}})),
        ] {
            server.command(json!({"cmd": "say", "agency": LOBBY, "content": content, "metadata": metadata}));
        }
        server.cut();
        server.alice_says(LOBBY, "@mybot four");
        server.alice_says(LOBBY, "@mybot last");
        let expected =
            ["@mybot one", "two", "@mybot from a hook", "@mybot three", "@mybot four", "@mybot last"];
        assert_eq!(until(&mentions, "@mybot last"), expected, "{metadata_as}");
    }
}

#[test]
fn the_agencies_of_an_agent_are_joined_at_once() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({"joinDelayMs": 50}));
    let agent = connect(&server);
    let rooms = agent.join_all().unwrap();
    assert_eq!(ids(&rooms), [LOBBY, DEN]);
    assert_eq!((rooms[1].slug(), rooms[1].name()), (Some("the-den"), Some("The Den")));
    assert!(rooms[1].members().iter().any(|member| member.username == "alice"));
    assert!(rooms[1].fetch_members().unwrap().iter().any(|member| member.username == "alice"));
    server.alice_says(DEN, "welcome");
    let heard = next_message(&agent.events(), "welcome");
    let den = agent.room_of(&heard);
    den.post("thank you").unwrap();
    let texts: Vec<_> = den.recent(15).unwrap().into_iter().map(|message| message.content).collect();
    assert_eq!(texts, ["welcome", "thank you"]);
}

#[test]
fn invitations_are_followed_also_those_of_an_outage() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    agent.follow_invites().unwrap();
    let events = agent.events();
    let invite = |id: &str| {
        let agency = json!({"id": id, "name": id, "slug": id});
        server.command(json!({"cmd": "invite", "agent": AGENT, "agency": agency}));
    };
    invite("ag-live");
    assert_eq!(invited(&events), "ag-live");
    server.cut();
    next(&events, "Disconnected", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    invite("ag-missed");
    assert_eq!(invited(&events), "ag-missed");
    assert_eq!(ids(&agent.rooms()), [LOBBY, "ag-live", "ag-missed"]);
    for room in ["ag-live", "ag-missed"] {
        server.alice_says(room, room);
        assert_eq!(next_message(&events, room).agency_id, room);
    }
    agent.send("where I chose to be").unwrap();
    assert_eq!(next_message(&events, "where I chose to be").agency_id, LOBBY);
}

#[test]
fn a_direct_conversation_is_opened_by_name_and_left() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let events = agent.events();
    let room = agent.open_dm("alice").unwrap();
    assert_eq!((room.id().as_str(), room.name()), (DM, Some("alice")));
    room.post("psst").unwrap();
    server.alice_says(DM, "yes?");
    assert!(next_message(&events, "yes?").dm);

    // This server cannot end a membership. It continues to send, and the agent ignores that.
    let lobby = agent.rooms().remove(0);
    assert_eq!(lobby.leave().unwrap_err().kind(), ErrorKind::NotFound);
    room.leave().unwrap();
    server.alice_says(LOBBY, "anybody?");
    server.alice_says(DM, "still there?");
    agent.join(DEN).unwrap();
    server.alice_says(DEN, "here");
    let heard = next(&events, "a message", |event| match event {
        Event::Message(message) => Some(message.content.clone()),
        _ => None,
    });
    assert_eq!(heard, "here");
}
