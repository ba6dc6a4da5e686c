//! Agent runs, their streams and thinking, as the other members of the room see them.

// Helpers outside of test functions may fail a test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Socket, agent_session, call, get};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

#[test]
fn a_run_is_seen_live_and_its_transcript_is_kept() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let bot = sandbox.add_agent("mybot", &alice.id).unwrap();
    let session = agent_session(&sandbox, &bot.token);
    let lobby = sandbox.lobby_id();
    let mut user = Socket::join(&sandbox, &alice.token, &lobby);
    let mut agent = Socket::join(&sandbox, &session, &lobby);

    let with = |more: Value| {
        let mut payload = json!({
            "runId": "run-1", "agencyId": lobby, "agentId": bot.id, "username": "mybot", "displayName": "mybot",
        });
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    let transcript = json!([
        { "type": "start", "triggerMessageId": null, "ts": 0 },
        { "type": "my-own", "kept": true, "ts": 3 },
        { "type": "complete", "summary": "Done.", "ts": 9 },
    ]);
    let steps = [
        ("agent-thinking", json!({ "agencyId": lobby, "thinking": true, "status": "reading" })),
        ("agent-run-start", with(json!({ "triggerMessageId": null }))),
        ("agent-run-status", with(json!({ "status": "analyzing" }))),
        (
            "agent-run-tool-call",
            with(json!({ "toolCallId": "t", "tool": "/who", "input": "", "status": "running" })),
        ),
        (
            "agent-run-tool-result",
            with(json!({ "toolCallId": "t", "output": "x", "duration": "8ms", "status": "done" })),
        ),
        ("agent-run-permission", with(json!({ "permissionId": "p", "action": "a", "description": "d" }))),
        (
            "agent-run-stream",
            with(json!({ "messageId": "m-1", "delta": "hi", "content": "hi", "done": false })),
        ),
        ("agent-run-stream", with(json!({ "messageId": "m-1", "content": "hi there", "done": true }))),
        ("agent-run-complete", with(json!({ "summary": "Done.", "transcript": transcript }))),
    ];
    for (event, payload) in &steps {
        agent.emit(event, payload.clone());
        assert_eq!(&user.wait(event), payload, "{event}");
        if payload["done"] == true {
            let message = user.wait("message");
            assert_eq!((&message["id"], &message["content"]), (&json!("m-1"), &json!("hi there")));
            assert_eq!(message["metadata"], json!({ "run_id": "run-1" }));
        }
    }

    let run = get(&sandbox, "/api/runs/run-1", &alice.token);
    assert_eq!((&run["status"], &run["agent_username"]), (&json!("completed"), &json!("mybot")));
    assert_eq!((&run["transcript"], &run["summary"]), (&transcript, &json!("Done.")));
    let listed = get(&sandbox, &format!("/api/agencies/{lobby}/runs"), &session);
    assert_eq!((&listed[0]["id"], listed[0].get("transcript")), (&json!("run-1"), None));
    assert_eq!(call(&sandbox, "GET", "/api/runs/run-2", &alice.token, Value::Null).status, 404);

    // A person in the room answers what the agent asked.
    let yes = json!({ "agencyId": lobby, "runId": "run-1", "permissionId": "p", "decision": "approve" });
    user.emit("agent-run-permission-response", yes.clone());
    assert_eq!(agent.wait("agent-run-permission-response"), yes);
}
