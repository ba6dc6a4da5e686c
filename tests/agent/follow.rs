//! Rooms that the agent joins automatically: invitations, and direct conversations that others start.

use std::time::Duration;

use crate::common::{
    SOON, ScriptedServer, TestSandbox, eventually, scripted, wait_for, wait_for_message, watchdog,
};
use crustocean::{Event, Events, model::Agency};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

/// Alice creates an agency and adds larry.
fn invite(sandbox: &TestSandbox, name: &str) -> Agency {
    let client = sandbox.client();
    let agency = client.agencies().create(name).private(true).send().unwrap();
    client.agencies().add_agent(&agency.id, "larry").unwrap();
    agency
}

fn say(sandbox: &TestSandbox, agency: &Agency, text: &str) {
    sandbox.say(agency.id.as_str(), &sandbox.alice.id, text, Value::Null).unwrap();
}

fn invited(events: &Events) -> String {
    wait_for(events, "agency-invited", |event| match event {
        Event::AgencyInvited(invitation) => Some(invitation.agency.unwrap().slug),
        _ => None,
    })
}

#[test]
fn an_invitation_is_followed() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let old = invite(&sandbox, "Old");
    let events = larry.events();
    assert_eq!(invited(&events), "old");
    assert_eq!(larry.rooms().len(), 1, "nobody has asked for it yet");

    larry.follow_invites().unwrap();
    larry.follow_invites().unwrap();
    let new = invite(&sandbox, "New");
    assert_eq!(invited(&events), "new");
    // The room is joined before the event is delivered.
    let room = larry.rooms().into_iter().find(|room| room.id() == &new.id).unwrap();
    assert_eq!(room.slug(), Some("new"));
    say(&sandbox, &new, "welcome @larry");
    let heard = wait_for_message(&events, "welcome");
    larry.reply(&heard, "thank you").unwrap();
    larry.send("still in the lobby").unwrap();
    assert_eq!(wait_for_message(&events, "still").agency_id.as_str(), sandbox.lobby_id());
    assert!(!larry.rooms().iter().any(|room| room.id() == &old.id));

    // A left room can be joined again explicitly.
    room.leave().unwrap();
    assert_eq!(larry.rooms().len(), 1);
    sandbox.client().agencies().add_agent(&new.id, "larry").unwrap();
    assert_eq!(invited(&events), "new");
    say(&sandbox, &new, "welcome back");
    wait_for_message(&events, "welcome back");
}

#[test]
fn a_missed_invitation_is_found() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let left = larry.join(invite(&sandbox, "Left").id).unwrap();
    larry.follow_invites().unwrap();
    let events = larry.events();
    assert_eq!(invited(&events), "left");
    // The membership stays, as on a server where only users can end theirs.
    sandbox.fail_next(1, 403, None);
    left.leave().unwrap_err();

    sandbox.drop_links();
    eventually("the link is lost", || !larry.is_connected());
    let missed = invite(&sandbox, "Missed");
    assert_eq!(invited(&events), "missed");
    say(&sandbox, &missed, "are you there?");
    assert_eq!(wait_for_message(&events, "are you there?").agency_id, missed.id);
    let rooms = larry.rooms();
    assert!(rooms.iter().any(|room| room.slug() == Some("missed")), "{rooms:?}");
    assert_eq!(rooms.len(), 2, "what was left stays left: {rooms:?}");
}

#[test]
fn an_invitation_to_a_room_that_cannot_be_joined_is_only_an_event() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        conn.send_event(
            "agency-invited",
            json!({"agencyId": "ag-2", "agency": {"id": "ag-2", "slug": "trap"}}),
        );
        assert_eq!(conn.expect_event("join-agency")["agencyId"], "ag-2");
        conn.send_event("error", json!({"message": "Changed my mind"}));
        let message = |id: &str| json!({"id": id, "agency_id": "ag-1", "content": "go on", "created_at": "2026-01-01T00:00:00Z"});
        conn.send_event("message", message("m-1"));
        conn.recv(SOON);
    });
    let agent = scripted(&server);
    agent.join("lobby").unwrap();
    agent.follow_invites().unwrap();
    let events = agent.events();
    // Messages may arrive before the join has finished.
    let (mut order, mut heard) = (Vec::new(), false);
    let mut failed = None;
    let (room, slug, why) = wait_for(&events, "failed join and message", |event| {
        match event {
            Event::AgencyInvited(_) => order.push("invited"),
            Event::JoinFailed { agency_id, slug, error, .. } => {
                order.push("failed");
                failed = Some((agency_id, slug, error.to_string()));
            }
            Event::Message(message) => heard |= message.content == "go on",
            _ => {}
        }
        if heard { failed.take() } else { None }
    });
    assert_eq!(order, ["invited", "failed"]);
    assert_eq!(slug.as_deref(), Some("trap"), "a UUID tells nobody anything");
    assert_eq!(room.as_str(), "ag-2");
    assert!(why.contains("Changed my mind"), "{why}");
    assert_eq!(agent.rooms().len(), 1);
}

#[test]
fn a_new_direct_conversation_is_found_with_its_first_message() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let dm = sandbox.client().dms().open(&larry.user().id).unwrap();
    sandbox.say(dm.as_str(), &sandbox.alice.id, "long ago", Value::Null).unwrap();
    larry.follow_dms(Duration::from_secs(1)).unwrap();
    let mentions = larry.mentions();

    let bob = sandbox.add_user("bob").unwrap();
    let token: crustocean::PersonalAccessToken = bob.token.parse().unwrap();
    let client = crustocean::Client::builder().api_url(sandbox.url()).build(token).unwrap();
    let new = client.dms().open(&larry.user().id).unwrap();
    for text in ["hello?", "anybody?"] {
        sandbox.say(new.as_str(), &bob.id, text, Value::Null).unwrap();
    }
    for text in ["hello?", "anybody?"] {
        let heard = mentions.recv_timeout(SOON).unwrap();
        assert_eq!((heard.content.as_str(), heard.dm, heard.replayed), (text, true, true));
        assert_eq!(heard.agency_id, new);
        larry.reply(&heard, "yes").unwrap();
    }
    let room = larry.rooms().into_iter().find(|room| room.id() == &new).unwrap();
    assert_eq!((room.name(), room.is_dm()), (Some("bob"), true));
    // From now on messages arrive live, and no message arrives twice.
    sandbox.say(new.as_str(), &bob.id, "good", Value::Null).unwrap();
    let heard = mentions.recv_timeout(SOON).unwrap();
    assert_eq!((heard.content.as_str(), heard.replayed), ("good", false));
}

#[test]
fn a_direct_conversation_started_during_an_outage_is_found() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    // The interval is very long, so only the reconnect can find the conversation.
    larry.follow_dms(Duration::from_secs(3600)).unwrap();
    let events = larry.events();
    sandbox.drop_links();
    eventually("the link is lost", || !larry.is_connected());
    let dm = sandbox.client().dms().open(&larry.user().id).unwrap();
    sandbox.say(dm.as_str(), &sandbox.alice.id, "psst", Value::Null).unwrap();
    assert!(wait_for_message(&events, "psst").dm);
}
