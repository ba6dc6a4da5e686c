//! Messages in both directions, replies, edits, direct messages, invitations.

use std::time::Duration;

use crate::common::{SOON, TestSandbox, wait_for, wait_for_message, watchdog};
use crustocean::{
    ErrorKind, Event, Outgoing,
    model::{MessageType, SenderType},
};
use crustocean_sandbox::Sandbox;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn messages_go_both_ways_with_metadata() {
    let _watchdog = watchdog(LIMIT);
    for as_string in [false, true] {
        let sandbox = TestSandbox::with(Sandbox::builder().metadata_as_string(as_string));
        let (larry, ben) = (sandbox.in_lobby("larry"), sandbox.in_lobby("ben"));
        larry
            .send(Outgoing::new("  the price ").kind(MessageType::ToolResult).with("skill", "prices"))
            .unwrap();
        let heard = wait_for_message(&ben.events(), "the price");
        assert_eq!((heard.content.as_str(), &heard.kind), ("the price", &MessageType::ToolResult));
        assert_eq!(heard.metadata.get("skill"), Some(json!("prices")), "as string: {as_string}");
        assert_eq!((heard.sender_username.as_str(), &heard.sender_type), ("larry", &SenderType::Agent));
        assert_eq!(heard.agency_id.as_str(), sandbox.lobby_id());
        assert!(!heard.dm && !heard.replayed);

        sandbox.alice_says("hello @larry");
        let heard = wait_for_message(&larry.events(), "hello");
        assert!(larry.should_respond(&heard) && !ben.should_respond(&heard));
        // The agent gets its own message, too, which is never to be answered.
        let own = wait_for(&ben.events(), "ben's copy", |event| match event {
            Event::Message(message) if message.content.contains("hello") => Some(message),
            _ => None,
        });
        assert_eq!(own.id, heard.id);
    }
}

#[test]
fn a_reply_goes_to_the_messages_room_and_counts_hops() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let elsewhere = sandbox.add_agency("Elsewhere", &sandbox.alice.id).unwrap();
    let (larry, ben) = (sandbox.in_lobby("larry"), sandbox.in_lobby("ben"));
    larry.join("elsewhere").unwrap();
    let (larrys, bens) = (larry.events(), ben.events());

    sandbox.alice_says("@larry?");
    let question = wait_for_message(&larrys, "@larry?");
    larry.reply(&question, "@ben what do you think?").unwrap();
    let first = wait_for_message(&bens, "what do you think");
    assert_ne!(first.agency_id.as_str(), elsewhere, "the room joined last is another one");
    let guard = first.loop_guard().unwrap();
    assert_eq!((guard.hop, guard.limit()), (1, 20));

    ben.reply(&first, "@larry fine").unwrap();
    let second = wait_for_message(&larrys, "fine");
    let next = second.loop_guard().unwrap();
    assert_eq!((next.hop, &next.interaction_id), (2, &guard.interaction_id));

    // The twentieth hop is the last one.
    let used_up =
        json!({"loop_guard": {"interaction_id": "lg_x", "hop": 20, "max_hops": 20, "status": "active"}});
    let lobby = sandbox.lobby_id();
    sandbox.say(&lobby, &sandbox.alice.id, "@larry and again", used_up).unwrap();
    let last = wait_for_message(&larrys, "and again");
    assert_eq!(larry.decide(&last), crustocean::agent::Decision::TooManyHops);
}

#[test]
fn a_message_can_be_edited() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, ben) = (sandbox.in_lobby("larry"), sandbox.in_lobby("ben"));
    let room = larry.rooms().remove(0);
    room.send("draft").unwrap();
    let mine = wait_for_message(&larry.events(), "draft");
    room.edit(&mine.id, "final").unwrap();
    let edited = wait_for(&ben.events(), "message-edited", |event| match event {
        Event::MessageEdited(edited) => Some(edited),
        _ => None,
    });
    assert_eq!((&edited.message_id, edited.content.as_str()), (&mine.id, "final"));

    // Another account's message cannot be edited: the server reports that later.
    sandbox.alice_says("hers");
    let hers = wait_for_message(&larry.events(), "hers");
    larry.edit(&hers, "his").unwrap();
    wait_for(&larry.events(), "error", |event| matches!(event, Event::ServerError { .. }).then_some(()));
}

#[test]
fn direct_messages_go_both_ways() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let dm = sandbox.client().dms().open(&larry.user().id).unwrap();

    let rooms = larry.join_dms().unwrap();
    assert_eq!(rooms.len(), 1);
    assert_eq!(rooms[0].id(), &dm);
    assert_eq!(larry.dms().unwrap()[0].participant.username, "alice");

    sandbox.say(dm.as_str(), &sandbox.alice.id, "psst", serde_json::Value::Null).unwrap();
    let heard = wait_for_message(&larry.events(), "psst");
    assert!(heard.dm && larry.should_respond(&heard), "no mention is needed");
    larry.reply(&heard, "I am listening").unwrap();
    larry.send_dm(&dm, "and talking").unwrap();
    let history = || sandbox.client().dms().messages(&dm).send().unwrap();
    crate::common::eventually("the answers arrive", || history().len() == 3);
    assert_eq!(history()[0].content, "and talking");

    // Direct messages do not change the home room.
    larry.send("in the open").unwrap();
    let open = wait_for_message(&larry.events(), "in the open");
    assert!(!open.dm);
}

#[test]
fn a_direct_room_is_joined_at_its_first_message() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.connect("larry");
    let dm = sandbox.client().dms().open(&larry.user().id).unwrap();
    larry.send_dm(&dm, "hello alice").unwrap();
    assert!(wait_for_message(&larry.events(), "hello alice").dm);
}

#[test]
fn an_invitation_can_be_followed() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.connect("larry");
    let client = sandbox.client();
    let agency = client.agencies().create("Back Room").private(true).send().unwrap();
    client.agencies().add_agent(&agency.id, "larry").unwrap();
    let invitation = wait_for(&larry.events(), "agency-invited", |event| match event {
        Event::AgencyInvited(invitation) => Some(invitation),
        _ => None,
    });
    assert_eq!(invitation.agency_id, agency.id);
    assert_eq!(invitation.agency.unwrap().slug, "back-room");
    larry.set_home(&larry.join(&invitation.agency_id).unwrap()).unwrap();
    larry.send("thank you").unwrap();
    wait_for_message(&larry.events(), "thank you");
}

#[test]
fn an_invalid_message_is_refused_before_it_is_sent() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.connect("larry");
    assert_eq!(larry.send("hello?").unwrap_err().kind(), ErrorKind::Invalid, "in no room");
    larry.set_home(&larry.join("lobby").unwrap()).unwrap();
    assert_eq!(larry.send("  ").unwrap_err().kind(), ErrorKind::Invalid);
    // A long text is split; metadata cannot be.
    let error = larry.send(Outgoing::new("hi").with("blob", "x".repeat(2_000_000))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    // The connection is still open.
    larry.send("still here").unwrap();
    wait_for_message(&larry.events(), "still here");
    assert_eq!(sandbox.connections(), 1);
}

#[test]
fn unknown_events_arrive_unchanged() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    sandbox.emit_to_user(larry.user().id.as_str(), "brand-new", json!({"answer": 42}));
    let raw = wait_for(&larry.events(), "brand-new", |event| match event {
        Event::Other(raw) if raw.name() == "brand-new" => Some(raw),
        _ => None,
    });
    assert_eq!(raw.first::<serde_json::Value>().unwrap(), json!({"answer": 42}));
}

#[test]
fn an_undecodable_event_loses_only_itself() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    sandbox.emit_to_user(larry.user().id.as_str(), "message", json!({"id": "no more than that"}));
    sandbox.alice_says("next");
    let events = larry.events();
    let name = wait_for(&events, "undecodable", |event| match event {
        Event::Undecodable { name, .. } => Some(name),
        _ => None,
    });
    assert_eq!(name, "message");
    wait_for_message(&events, "next");
    assert!(sandbox.wait_for_event("join-agency", SOON).is_some());
    assert_eq!(sandbox.connections(), 1);
}

#[test]
fn send_uses_the_home_room_whatever_the_agent_joins() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    sandbox.add_agency("Elsewhere", &sandbox.alice.id).unwrap();
    let larry = sandbox.builder().connect_and_join(sandbox.agent_token("larry"), "lobby").unwrap();
    let home = larry.home().unwrap();
    assert_eq!((home.id().as_str(), home.slug()), (&*sandbox.lobby_id(), Some("lobby")));
    let elsewhere = larry.join("elsewhere").unwrap();
    assert_eq!(larry.post("at home").unwrap().first.agency_id, *home.id());
    assert_eq!(elsewhere.post("elsewhere").unwrap().first.agency_id, *elsewhere.id());
    elsewhere.try_send("there, too").unwrap();
    let there = wait_for_message(&larry.events(), "there, too");
    assert_eq!(there.agency_id, *elsewhere.id());
    // An answer may go to another room than its message. It is also one hop further.
    home.reply(&there, "answered at home").unwrap();
    let answer = wait_for_message(&larry.events(), "answered at home");
    assert_eq!((&answer.agency_id, answer.loop_guard().unwrap().hop), (home.id(), 1));

    // A home room that is set cannot be changed.
    larry.set_home(&home).unwrap();
    assert_eq!(larry.set_home(&elsewhere).unwrap_err().kind(), ErrorKind::Invalid);
    let ben = sandbox.connect("ben");
    let room = ben.join("lobby").unwrap();
    let error = ben.send("where am I?").unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("set_home"), "{error}");
    ben.set_home(&room).unwrap();
    ben.send("here").unwrap();
    room.leave().unwrap_err();
    assert_eq!(ben.send("gone").unwrap_err().kind(), ErrorKind::Invalid);
}
