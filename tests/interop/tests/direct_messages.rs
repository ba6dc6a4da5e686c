//! Direct messages and invitations.

use std::time::Duration;

use crustocean::{AgencyId, Event};
use crustocean_interop::{
    AGENT, ALICE, ALICE_NAME, DM, LOBBY, Server, connect, in_lobby, json, next, next_message, watchdog,
};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

#[test]
fn direct_messages_go_both_ways() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let events = agent.events();

    let rooms = agent.join_dms().unwrap();
    assert_eq!(rooms.iter().map(|room| room.id().as_str()).collect::<Vec<_>>(), [DM]);
    assert_eq!(server.events("join-agency").last().unwrap()["args"], json!([{"agencyId": DM}]));
    let conversation = agent.dms().unwrap().into_vec().remove(0);
    assert_eq!(
        (conversation.agency_id.as_str(), conversation.participant.username.as_str()),
        (DM, ALICE_NAME)
    );
    assert_eq!(conversation.participant.id.unwrap(), ALICE);

    server.alice_says(DM, "psst");
    let heard = next_message(&events, "psst");
    assert!(heard.dm && heard.agency_id == DM);
    assert!(agent.should_respond(&heard), "no mention is needed");
    agent.reply(&heard, "I am listening").unwrap();
    agent.send_dm(&AgencyId::from(DM), "and talking").unwrap();
    agent.send("in the open").unwrap();

    let sent = server.wait_events(SOON, 3, "send-message");
    let reply = sent[0].payload();
    assert_eq!((&reply["agencyId"], &reply["content"]), (&json!(DM), &json!("I am listening")));
    assert_eq!(sent[1]["args"], json!([{"agencyId": DM, "content": "and talking"}]));
    assert_eq!(sent[2]["args"], json!([{"agencyId": LOBBY, "content": "in the open"}]));
    assert!(next_message(&events, "and talking").dm);
    assert!(!next_message(&events, "in the open").dm);
}

#[test]
fn a_direct_conversation_is_joined_at_its_first_message() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = connect(&server);
    agent.send_dm(&AgencyId::from(DM), "hello alice").unwrap();
    agent.send_dm(&AgencyId::from(DM), "still there?").unwrap();
    assert!(next_message(&agent.events(), "hello alice").dm);
    let log = server.wait(SOON, "event", 3, |entry| entry["kind"] == "event");
    let names: Vec<_> = log.iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["join-agency", "send-message", "send-message"]);
}

#[test]
fn an_invitation_can_be_followed() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = connect(&server);
    let agency = json!({"id": "ag-back", "name": "Back Room", "slug": "back-room"});
    server.command(json!({"cmd": "invite", "agent": AGENT, "agency": agency}));

    let events = agent.events();
    let invitation = next(&events, "agency-invited", |event| match event {
        Event::AgencyInvited(invitation) => Some(invitation.clone()),
        _ => None,
    });
    assert_eq!(invitation.agency_id, "ag-back");
    let about = invitation.agency.unwrap();
    assert_eq!(
        (about.id.as_str(), about.name.as_str(), about.slug.as_str()),
        ("ag-back", "Back Room", "back-room")
    );

    agent.set_home(&agent.join(&invitation.agency_id).unwrap()).unwrap();
    agent.send("thank you").unwrap();
    assert_eq!(next_message(&events, "thank you").agency_id, "ag-back");
}
