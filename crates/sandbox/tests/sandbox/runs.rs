//! Agent runs, their streams and thinking, as the other members of the room see them.

// Helpers outside of test functions may panic, too.
use crate::common::{Socket, agent_session, call, get};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

#[test]
fn a_run_is_relayed_live_and_its_transcript_is_stored() {
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
            with(
                json!({ "toolCallId": "t", "tool": "/who", "output": "x", "duration": "8ms", "status": "done" }),
            ),
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

    // A user in the room answers the agent's request.
    let yes = json!({ "agencyId": lobby, "runId": "run-1", "permissionId": "p", "decision": "approve" });
    user.emit("agent-run-permission-response", yes.clone());
    assert_eq!(agent.wait("agent-run-permission-response"), yes);
    // The test can answer, too.
    sandbox.respond_permission("run-1", "p", "deny", Some("no"));
    let no = json!({ "runId": "run-1", "permissionId": "p", "decision": "deny", "message": "no" });
    assert_eq!(agent.wait("agent-run-permission-response"), no);
    sandbox.interrupt_run("run-1", "stop", None);
    assert_eq!(agent.wait("agent-run-interrupt"), json!({ "runId": "run-1", "action": "stop" }));
    sandbox.interrupt_run("run-2", "stop", None);
    assert_eq!(sandbox.run_violations(), Vec::<String>::new());
}

#[test]
fn violations_of_the_documented_form_are_recorded() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let bot = sandbox.add_agent("mybot", &alice.id).unwrap();
    let session = agent_session(&sandbox, &bot.token);
    let lobby = sandbox.lobby_id();
    let mut user = Socket::join(&sandbox, &alice.token, &lobby);
    let mut agent = Socket::join(&sandbox, &session, &lobby);
    let base = json!({
        "runId": "run-1", "agencyId": lobby, "agentId": bot.id, "username": "mybot", "displayName": "mybot",
    });
    let transcript = json!([{ "type": "start", "ts": 0 }, { "type": "complete", "summary": "" }]);
    let steps = [
        ("agent-run-status", json!({ "status": "too early" }), "not begun"),
        ("agent-run-start", json!({}), "triggerMessageId"),
        ("agent-run-start", json!({ "triggerMessageId": null }), "begun twice"),
        ("agent-run-status", json!({ "status": 7 }), "status is not text"),
        ("agent-run-status", json!({ "status": "", "username": "other" }), "of somebody else"),
        ("agent-run-status", json!({ "status": "", "displayName": "" }), "no displayName"),
        ("agent-run-tool-call", json!({ "toolCallId": "t", "tool": "x", "status": "running" }), "no input"),
        (
            "agent-run-tool-result",
            json!({ "toolCallId": "u", "tool": "x", "output": 1, "duration": "1ms", "status": "done" }),
            "without its call",
        ),
        (
            "agent-run-tool-result",
            json!({ "toolCallId": "t", "tool": "x", "output": 1, "duration": "1s", "status": "done" }),
            "not a duration",
        ),
        ("agent-run-stream", json!({ "messageId": "m", "content": "a", "done": false }), "neither"),
        (
            "agent-run-stream",
            json!({ "messageId": "m", "delta": "c", "content": "ab", "done": false }),
            "the content is not",
        ),
        ("agent-run-permission", json!({ "permissionId": "p" }), "action is not text"),
        ("agent-run-dance", json!({}), "not documented"),
        ("agent-run-complete", json!({ "summary": "", "transcript": transcript }), "still going on"),
        ("agent-run-error", json!({ "error": "", "transcript": transcript }), "after the end"),
        ("agent-thinking", json!({ "thinking": "yes" }), "thinking is missing"),
    ];
    for (event, more, what) in &steps {
        let mut payload = base.clone();
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        agent.emit(event, payload.clone());
        // It is recorded, not refused.
        user.wait(event);
        let noted = sandbox.run_violations();
        let said = noted.iter().filter(|line| line.starts_with(event) && line.contains(what));
        assert!(said.count() > 0, "{event}: {what} is not in {noted:#?}");
    }
    let noted = sandbox.run_violations().join("\n");
    assert!(
        noted.contains("an entry without triggerMessageId") && noted.contains("without type or ts"),
        "{noted}"
    );
}
