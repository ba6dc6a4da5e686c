//! Joining, sending, editing, receiving and replying, compared field by field with the documented events.

use std::time::Duration;

use crustocean::{
    ErrorKind, Event, Outgoing,
    model::{MessageType, SenderType},
};
use crustocean_interop::{
    AGENT, AGENT_NAME, ALICE, ALICE_NAME, DEN, LOBBY, Server, VAULT, Value, connect, in_lobby, json, next,
    next_message, watchdog,
};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

/// The two forms in which servers send metadata: an object, or a string that contains an object.
const SHAPES: [&str; 2] = ["object", "string"];

#[test]
fn joining_by_slug_and_by_id_sends_the_id() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = connect(&server);
    let lobby = agent.join("lobby").unwrap();
    let den = agent.join(DEN).unwrap();
    assert_eq!((lobby.id().as_str(), den.id().as_str()), (LOBBY, DEN));

    let joins = server.events("join-agency");
    assert_eq!(joins[0]["args"], json!([{"agencyId": LOBBY}]));
    assert_eq!(joins[1]["args"], json!([{"agencyId": DEN}]));
    assert!(joins.iter().all(|join| join["ack"] == false));

    let members: Vec<_> = lobby
        .members()
        .iter()
        .map(|one| (one.id.as_str(), one.username.as_str(), one.display_name.as_str(), one.kind.clone()))
        .collect();
    assert_eq!(
        members,
        [(ALICE, ALICE_NAME, "Alice", SenderType::User), (AGENT, AGENT_NAME, "My Bot", SenderType::Agent)]
    );
    assert_eq!(agent.rooms().iter().map(|room| room.id().to_string()).collect::<Vec<_>>(), [LOBBY, DEN]);
}

#[test]
fn a_refused_join_is_an_error_and_changes_nothing() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({"joinDelayMs": 100}));
    let agent = in_lobby(&server);
    let error = agent.join("vault").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    assert_eq!(error.server_message(), Some("Not a member of this agency"));
    assert_eq!(server.events("join-agency").last().unwrap().payload(), &json!({"agencyId": VAULT}));
    assert_eq!(agent.join("no-such-room").unwrap_err().kind(), ErrorKind::NotFound);
    agent.send("still in the lobby").unwrap();
    assert_eq!(next_message(&agent.events(), "still in the lobby").agency_id, LOBBY);
    assert_eq!(server.log(&["connect"]).len(), 1);
}

#[test]
fn sent_messages_have_the_documented_form() {
    let _watchdog = watchdog(LIMIT);
    for shape in SHAPES {
        let server = Server::start(json!({"metadataAs": shape}));
        let agent = in_lobby(&server);
        let events = agent.events();

        agent.send("  Hello \u{1F980}\n").unwrap();
        let trace = json!([{"step": "/price", "duration": "12ms", "status": "done"}]);
        let rich = Outgoing::new("ETH is at 3000")
            .kind(MessageType::ToolResult)
            .with("skill", "prices")
            .with("trace", trace.clone());
        agent.send(rich).unwrap();

        let sent = server.wait_events(SOON, 2, "send-message");
        assert_eq!(sent[0]["args"], json!([{"agencyId": LOBBY, "content": "Hello \u{1F980}"}]));
        let metadata = json!({"skill": "prices", "trace": trace});
        assert_eq!(
            sent[1]["args"],
            json!([{"agencyId": LOBBY, "content": "ETH is at 3000", "type": "tool_result", "metadata": metadata}])
        );
        assert!(sent.iter().all(|entry| entry["ack"] == false), "acks are for commands");

        // The room's copy of the agent's own message.
        let plain = next_message(&events, "Hello \u{1F980}");
        assert!(plain.metadata.is_empty());
        let own = next_message(&events, "ETH is at 3000");
        assert_eq!(own.kind, MessageType::ToolResult);
        assert_eq!(own.metadata.to_value(), Some(metadata), "as {shape}");
        assert_eq!((own.sender_id.as_str(), own.sender_username.as_str()), (AGENT, AGENT_NAME));
        assert_eq!(own.sender_type, SenderType::Agent);
        assert!(!agent.should_respond(&own));

        agent.edit(&own, " ETH is at 3001 ").unwrap();
        let edit = &server.wait_events(SOON, 1, "edit-message")[0];
        let expected = json!({"agencyId": LOBBY, "messageId": own.id.as_str(), "content": "ETH is at 3001"});
        assert_eq!((&edit["args"], &edit["ack"]), (&json!([expected]), &json!(false)));
        let edited = next(&events, "message-edited", |event| match event {
            Event::MessageEdited(edited) => Some(edited.clone()),
            _ => None,
        });
        assert_eq!((&edited.message_id, edited.content.as_str()), (&own.id, "ETH is at 3001"));
        assert_eq!(edited.metadata.get("skill"), Some("prices".into()), "as {shape}");
        assert!(edited.edited_at.unwrap() > own.created_at);
    }
}

#[test]
fn received_messages_equal_the_sent_ones() {
    let _watchdog = watchdog(LIMIT);
    for shape in SHAPES {
        let server = Server::start(json!({"metadataAs": shape}));
        let agent = in_lobby(&server);
        let metadata = json!({"heartbeat": true, "style": {"sender_color": "theme-accent"}});
        let said = server.alice(
            json!({"agency": LOBBY, "content": "@mybot hello", "type": "action", "metadata": metadata}),
        );
        let heard = next_message(&agent.events(), "@mybot hello");
        assert_eq!(heard.id, said["id"].as_str().unwrap());
        assert_eq!(heard.agency_id, LOBBY);
        assert_eq!(heard.kind, MessageType::Action);
        assert_eq!(heard.metadata.to_value(), Some(metadata), "as {shape}");
        assert_eq!(heard.created_at.as_str(), said["created_at"]);
        assert_eq!(heard.edited_at, None);
        assert_eq!((heard.sender_id.as_str(), heard.sender_username.as_str()), (ALICE, ALICE_NAME));
        assert_eq!((heard.sender_display_name.as_str(), &heard.sender_type), ("Alice", &SenderType::User));
        assert!(!heard.dm && !heard.replayed && !heard.is_system());
        assert!(agent.should_respond(&heard));
    }
}

#[test]
fn a_reply_goes_to_the_room_of_the_question_one_hop_on() {
    let _watchdog = watchdog(LIMIT);
    for shape in SHAPES {
        let server = Server::start(json!({"metadataAs": shape}));
        let agent = in_lobby(&server);
        agent.join(DEN).unwrap(); // the home room
        let events = agent.events();

        server.alice_says(LOBBY, "@mybot hello");
        let question = next_message(&events, "@mybot hello");
        agent.reply(&question, "hello alice").unwrap();
        let guard = json!({"interaction_id": "lg_x_y", "hop": 4, "max_hops": 9, "status": "active"});
        server.alice(json!({"agency": LOBBY, "content": "@mybot go on", "metadata": {"loop_guard": guard}}));
        let reply = Outgoing::new("going on").with("skill", "talk");
        let more = next_message(&events, "@mybot go on");
        agent.reply(&more, reply).unwrap();

        let sent = server.wait_events(SOON, 2, "send-message");
        let first = sent[0].payload();
        assert_eq!((&first["agencyId"], &first["content"]), (&json!(LOBBY), &json!("hello alice")));
        let id = first["metadata"]["loop_guard"]["interaction_id"].as_str().unwrap();
        assert!(id.starts_with("lg_"), "{id}");
        assert_eq!(
            first["metadata"],
            json!({
                "in_reply_to": question.id,
                "loop_guard": {"interaction_id": id, "hop": 1, "max_hops": 20, "status": "active"},
            })
        );
        let next = json!({"interaction_id": "lg_x_y", "hop": 5, "max_hops": 9, "status": "active"});
        assert_eq!(
            sent[1].payload(),
            &json!({
                "agencyId": LOBBY,
                "content": "going on",
                "metadata": {"skill": "talk", "in_reply_to": more.id, "loop_guard": next},
            }),
            "as {shape}"
        );
    }
}

#[test]
fn an_error_of_the_server_is_an_event() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let events = agent.events();
    server.alice_says(LOBBY, "hers");
    agent.edit(&next_message(&events, "hers"), "his").unwrap();
    let said = next(&events, "error", |event| match event {
        Event::ServerError { message, .. } => Some(message.clone()),
        _ => None,
    });
    assert_eq!(said, "You can only edit your own messages");
    assert!(agent.is_connected());
}

#[test]
fn many_messages_both_ways_keep_their_order() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let events = agent.events();
    let texts: Vec<String> = (0..500).map(|n| format!("number {n}")).collect();
    for text in &texts {
        agent.send(text).unwrap();
    }
    for text in &texts {
        next_message(&events, text);
    }
    let sent = server.wait_events(SOON, texts.len(), "send-message");
    let arrived: Vec<&Value> = sent.iter().map(|entry| &entry.payload()["content"]).collect();
    assert_eq!(arrived, texts.iter().collect::<Vec<_>>());
}
