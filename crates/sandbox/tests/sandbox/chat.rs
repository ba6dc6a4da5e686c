//! Messages, edits, commands and runs over a socket.

// Helpers outside of test functions may panic, too.
use crate::common::{PATIENCE, Socket, agent_session, get};
use crustocean_sandbox::{Credentials, Sandbox};
use serde_json::{Value, json};

/// A sandbox with a user and the session of an agent.
fn setup() -> (Sandbox, Credentials, String, String) {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let bot = sandbox.add_agent("mybot", &alice.id).unwrap();
    let session = agent_session(&sandbox, &bot.token);
    let lobby = sandbox.lobby_id();
    (sandbox, alice, session, lobby)
}

#[test]
fn a_message_reaches_everyone_in_the_room() {
    let (sandbox, alice, session, lobby) = setup();
    let mut user = Socket::join(&sandbox, &alice.token, &lobby);
    let mut agent = Socket::join(&sandbox, &session, &lobby);
    assert_eq!(user.wait("member-presence")["username"], "mybot");

    let sent = json!({ "agencyId": lobby, "content": "  hi @alice ", "metadata": { "skill": "greeter" } });
    agent.emit("send-message", sent.clone());
    let message = user.wait("message");
    assert_eq!(message, agent.wait("message"));
    assert_eq!(message["content"], "hi @alice");
    assert_eq!(message["metadata"]["skill"], "greeter");
    assert_eq!((&message["sender_username"], &message["sender_type"]), (&json!("mybot"), &json!("agent")));
    assert_eq!((&message["type"], &message["dm"]), (&json!("chat"), &json!(false)));
    assert_eq!(sandbox.wait_for_event("send-message", PATIENCE), Some(sent));

    let edit = json!({ "agencyId": lobby, "messageId": message["id"], "content": "better" });
    user.emit("edit-message", edit.clone());
    user.wait("error");
    agent.emit("edit-message", edit);
    let edited = user.wait("message-edited");
    assert_eq!((&edited["messageId"], &edited["content"]), (&message["id"], &json!("better")));
    assert!(edited["edited_at"].is_string());

    sandbox.metadata_as_string(true);
    agent.emit("send-message", json!({ "agencyId": lobby, "content": "x", "metadata": { "a": 1 } }));
    assert_eq!(user.wait("message")["metadata"], "{\"a\":1}");
}

#[test]
fn a_room_is_open_only_to_sockets_that_have_joined_it() {
    let (sandbox, _, session, lobby) = setup();
    let mut agent = Socket::connect(&sandbox, &session);
    for payload in [json!({ "agencyId": lobby, "content": "hi" }), json!({}), Value::Null, json!([1])] {
        agent.emit("send-message", payload);
        assert!(agent.wait("error")["message"].is_string());
    }
    agent.emit("join-agency", json!({ "agencyId": "lobby" }));
    assert_eq!(agent.wait("error")["message"], "Agency not found");
}

#[test]
fn commands_answer_by_ack_and_silent_ones_post_no_message() {
    let (sandbox, alice, session, lobby) = setup();
    let mut user = Socket::join(&sandbox, &alice.token, &lobby);
    let mut agent = Socket::join(&sandbox, &session, &lobby);
    let mut run = |content: &str, silent: bool| {
        agent.ask(json!({ "agencyId": lobby, "content": content, "silent": silent }))
    };

    let quiet = run("/echo quiet", true);
    assert_eq!(quiet, json!({ "ok": true, "command": "echo", "content": "quiet", "type": "system" }));
    let unknown = run("/nope", false);
    assert_eq!((&unknown["ok"], &unknown["command"]), (&json!(false), &json!("nope")));
    assert_eq!(run("/help", true)["ephemeral"], true);
    let loud = run("/echo loud", false);
    // Only the caller got the silent command, the failed one and the help.
    let shown = user.wait("message");
    assert_eq!((&shown["content"], &shown["id"]), (&json!("loud"), &loud["messageId"]));
    assert_eq!((&shown["type"], &shown["sender_id"]), (&json!("system"), &json!("system")));

    let slow = run("/slow 20 the real answer", false);
    assert_eq!(slow["content"], "[spinner:Working]");
    let edited = user.wait("message-edited");
    assert_eq!((&edited["messageId"], &edited["content"]), (&slow["messageId"], &json!("the real answer")));
}

#[test]
fn runs_are_relayed_and_stored() {
    let (sandbox, alice, session, lobby) = setup();
    let mut user = Socket::join(&sandbox, &alice.token, &lobby);
    let mut agent = Socket::join(&sandbox, &session, &lobby);
    let thinking = json!({ "agencyId": lobby, "thinking": true, "status": "reading" });
    agent.emit("agent-thinking", thinking.clone());
    assert_eq!(user.wait("agent-thinking"), thinking);

    let base = |more: Value| {
        let mut payload = json!({ "runId": "run-1", "agencyId": lobby });
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    agent.emit("agent-run-start", base(json!({ "triggerMessageId": null })));
    assert_eq!(user.wait("agent-run-start")["runId"], "run-1");
    agent.emit("agent-run-stream", base(json!({ "messageId": "m-1", "content": "ETH", "done": true })));
    let message = user.wait("message");
    assert_eq!((&message["id"], &message["metadata"]["run_id"]), (&json!("m-1"), &json!("run-1")));
    let transcript = json!([{ "type": "start", "triggerMessageId": null, "ts": 0 }]);
    agent.emit("agent-run-complete", base(json!({ "summary": "Done.", "transcript": transcript })));
    user.wait("agent-run-complete");

    let run = get(&sandbox, "/api/runs/run-1", &alice.token);
    assert_eq!((&run["status"], &run["summary"]), (&json!("completed"), &json!("Done.")));
    assert_eq!(run["transcript"], transcript);
    let runs = get(&sandbox, &format!("/api/agencies/{lobby}/runs"), &alice.token);
    assert_eq!(runs[0]["agent_username"], "mybot");
}
