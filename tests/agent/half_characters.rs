//! A lone surrogate (`\ud83d`, half a character) becomes U+FFFD in all incoming JSON. It never loses the message, the page or
//! the connection. JavaScript creates such text when it cuts an emoji, and any user can post it.

use crate::common::{Response, SOON, ScriptedServer, scripted, wait_for, watchdog};
use crustocean::Event;
use crustocean::model::{CommandReply, List, Message};
use crustocean::webhook::{HookCall, PromptRequest, WebhookDelivery, WebhookSecret};

/// The text in JSON, and the decoded text.
const HALF: &str = r"\ud83d";
const READ: &str = "\u{fffd}";

fn message(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","agency_id":"ag-1","content":"cut {HALF}","created_at":"2026-01-01T00:00:00Z",
        "sender_display_name":"{HALF}","metadata":{{"mood":"{HALF}","{HALF}":["{HALF}"]}},"{HALF}":"{HALF}"}}"#
    )
}

fn check(message: &Message) {
    assert_eq!((message.content.as_str(), message.sender_display_name.as_str()), ("cut \u{fffd}", READ));
    assert_eq!(message.metadata.get("mood"), Some(READ.into()));
    assert_eq!(message.metadata.to_map().unwrap()[READ], serde_json::json!([READ]));
    // The written text is valid for every reader.
    let written = serde_json::to_string(message).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok(), "{written}");
}

fn json(text: String) -> Response {
    Response::text(200, text).header("Content-Type", "application/json")
}

#[test]
fn lone_surrogates_over_the_socket_and_in_responses() {
    let _watchdog = watchdog(SOON * 3);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        let asked = conn.expect_event("join-agency");
        assert_eq!(asked["agencyId"], "ag-1");
        conn.send_text(format!(
            r#"42["agency-joined",{{"agencyId":"ag-1","members":[{{"id":"u","username":"alice","displayName":"{HALF}"}}]}}]"#
        ));
        let message = message("m1").replace('\n', "");
        conn.send_text(format!(r#"42["message",{message}]"#));
        conn.send_text(format!(
            r#"42["message-edited",{{"messageId":"m1","agencyId":"ag-1","content":"{HALF}"}},1]"#
        ));
        conn.send_text(format!(r#"42["error",{{"message":"no {HALF}"}}]"#));
        conn.send_text(format!(r#"42["agent-status",{{"agencyId":"ag-1","status":"{HALF}"}}]"#));
        conn.send_text(format!(r#"42["some{HALF}thing",{{"a":"{HALF}"}}]"#));
        let command = conn.next_text("a command");
        let id: String = command.chars().skip(2).take_while(char::is_ascii_digit).collect();
        conn.send_text(format!(r#"43{id}[{{"ok":true,"command":"x","content":"{HALF}"}}]"#));
        conn.recv(SOON);
    });
    server.on("POST", "/api/auth/agent", |_| {
        json(format!(
            r#"{{"token":"s","user":{{"id":"agent-1","username":"mybot","displayName":"{HALF}"}}}}"#
        ))
    });
    server.on("GET", "/api/agencies", |_| {
        json(format!(
            r#"[{{"id":"ag-0","slug":"other","name":"{HALF}","isMember":true}},
            {{"id":"ag-1","slug":"lobby","name":"Lobby","charter":"{HALF}","isMember":true}}]"#
        ))
    });
    server.on("GET", "/api/agencies/ag-1/messages", |_| json(format!("[{}]", message("m0"))));
    server.on("GET", "/api/dm", |_| {
        json(format!(r#"[{{"agencyId":"dm-1","participant":{{"username":"bob","displayName":"{HALF}"}}}}]"#))
    });

    let agent = scripted(&server);
    assert_eq!(agent.user().display_name, READ);
    let room = agent.join("lobby").unwrap();
    assert_eq!(room.members()[0].display_name, READ);
    assert_eq!(agent.dms().unwrap()[0].participant.display_name, READ);
    check(&room.history().send().unwrap()[0]);

    let events = agent.events();
    check(&wait_for(&events, "message", |event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    }));
    let edited = wait_for(&events, "edit", |event| match event {
        Event::MessageEdited(edited) => Some(edited.content),
        _ => None,
    });
    assert_eq!(edited, READ);
    let error = wait_for(&events, "error", |event| match event {
        Event::ServerError { message, .. } => Some(message),
        _ => None,
    });
    assert_eq!(error, format!("no {READ}"));
    let status = wait_for(&events, "status", |event| match event {
        Event::AgentStatus(presence) => presence.status,
        _ => None,
    });
    assert_eq!(status, READ);
    let other = wait_for(&events, "another event", |event| match event {
        Event::Other(event) => Some(event),
        _ => None,
    });
    assert_eq!(other.name(), format!("some{READ}thing"));
    assert_eq!(other.first::<serde_json::Value>().unwrap()["a"], READ);
    let reply: CommandReply = room.command("/x").send().unwrap();
    assert_eq!(reply.content, READ);
}

#[test]
fn lone_surrogates_in_webhook_requests() {
    let call = format!(
        r#"{{"agencyId":"ag-1","command":"say","rawArgs":"{HALF}","positional":["{HALF}"],"flags":{{"{HALF}":"{HALF}"}},
        "sender":{{"username":"bob","displayName":"{HALF}"}}}}"#
    );
    let call = HookCall::from_json(call.as_bytes()).unwrap();
    assert_eq!((call.raw_args.as_str(), call.positional.as_slice()), (READ, [READ.to_owned()].as_slice()));
    assert_eq!((call.option(READ), call.sender.display_name.as_str()), (Some(READ), READ));

    let secret = "only we know".parse::<WebhookSecret>().unwrap();
    let body =
        format!(r#"{{"event":"message.created","agencyId":"ag-1","message":{},"x":"{HALF}"}}"#, message("m"));
    let signature = secret.sign(body.as_bytes());
    let delivery = WebhookDelivery::from_signed(body.as_bytes(), &signature, &secret).unwrap();
    check(&delivery.message().unwrap());
    assert_eq!(delivery.fields["x"], READ);

    let prompt = format!(
        r#"{{"agent":{{"id":"u","username":"mybot","displayName":"{HALF}","config":{{"personality":"{HALF}"}}}},
        "agencyCharter":"{HALF}","history":["{HALF}"]}}"#
    );
    let prompt = PromptRequest::from_json(prompt.as_bytes()).unwrap();
    assert_eq!((prompt.agent.display_name.as_str(), prompt.agency_charter.as_deref()), (READ, Some(READ)));
    assert_eq!(prompt.agent.config.personality(), Some(READ));
    assert_eq!(prompt.fields["history"], serde_json::json!([READ]));
}

#[test]
fn lone_surrogates_in_what_a_program_decodes_itself() {
    check(&serde_json::from_str(&message("m")).unwrap());
    check(&serde_json::from_slice(message("m").as_bytes()).unwrap());
    check(&serde_json::from_reader(message("m").as_bytes()).unwrap());
    let list: List<Message> = serde_json::from_str(&format!("[{},{}]", message("m"), message("n"))).unwrap();
    assert_eq!(list.skipped(), 0);
    list.iter().for_each(check);
}
