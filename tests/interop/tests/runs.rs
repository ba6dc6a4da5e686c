//! Runs and thinking, as the official server sees them.

use std::time::Duration;

use crustocean::{
    Outgoing,
    model::InterruptAction,
    run::{Permission, Trigger},
};
use crustocean_interop::{AGENT, LOBBY, Server, connect, json, next_message, watchdog};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

fn assert_no_violations(server: &Server) {
    let violations = server.log(&["violation"]);
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn a_run_with_everything_in_it() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = connect(&server);
    let room = agent.join("lobby").unwrap();
    server.alice_says(LOBBY, "@mybot the price?");
    let message = next_message(&agent.events(), "@mybot the price?");

    let thinking = room.thinking("at it");
    let run = room.start_run(&message).unwrap();
    run.status("analyzing").unwrap();
    assert_eq!(run.command("/echo 10").unwrap().output, "10");
    assert!(!run.command("/nothing").unwrap().ok);
    run.tool_with_id("call_1", "search", json!({"q": "eth"})).unwrap().done(json!([1, 2])).unwrap();
    drop(run.tool("fetch", "url").unwrap());
    run.record(&json!({"type": "llm", "model": "x"})).unwrap();
    let mut stream = run.stream().unwrap();
    for _ in 0..100 {
        stream.push("token ").unwrap();
    }
    let id = stream.finish_with(Outgoing::new("").with("skill", "prices")).unwrap();
    let granted = std::thread::scope(|scope| {
        scope.spawn(|| {
            let asked = server.wait_events(SOON, 1, "agent-run-permission").remove(0);
            let answer = json!({"runId": run.id(), "permissionId": asked.payload()["permissionId"],
                "decision": "approve"});
            server.emit(AGENT, "agent-run-permission-response", json!([answer]));
        });
        run.request_permission("deploy", "Deploy it").unwrap()
    });
    assert!(granted.is_granted());
    let late = run.request_permission_within(Duration::from_millis(100), "again", "Again").unwrap();
    assert_eq!(late, Permission::TimedOut);
    let adjust = json!({"runId": run.id(), "action": "adjust", "message": "use EUR"});
    server.emit(AGENT, "agent-run-interrupt", json!([adjust]));
    let interrupt = run.wait_interrupt(SOON).unwrap().unwrap();
    assert_eq!((interrupt.action, interrupt.message.as_deref()), (InterruptAction::Adjust, Some("use EUR")));
    run.complete("Done.").unwrap();
    drop(thinking);

    let end = server.wait_events(SOON, 1, "agent-run-complete").remove(0);
    let transcript = end.payload()["transcript"].as_array().unwrap().clone();
    let kinds: Vec<_> = transcript.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    let expected = [
        "start",
        "status",
        "tool-call",
        "tool-result",
        "tool-call",
        "tool-result",
        "tool-call",
        "tool-result",
        "tool-call",
        "tool-result",
        "llm",
        "stream-start",
        "stream-end",
        "permission-request",
        "permission-response",
        "permission-request",
        "permission-response",
        "interrupt",
        "complete",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(
        (&transcript[16]["decision"], &transcript[16]["message"]),
        (&json!("deny"), &json!("timeout"))
    );
    let shown = server.wait_events(SOON, 2, "agent-thinking");
    assert_eq!(
        (&shown[0].payload()["thinking"], &shown[1].payload()["thinking"]),
        (&json!(true), &json!(false))
    );
    let written = next_message(&agent.events(), "token ".repeat(100).as_str());
    assert_eq!((&written.id, written.metadata.get("skill")), (&id, Some(json!("prices"))));
    assert_no_violations(&server);
}

#[test]
fn a_run_survives_a_lost_connection() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = connect(&server);
    let room = agent.join("lobby").unwrap();
    let thinking = room.thinking("through it all");
    let run = room.start_run(Trigger::none()).unwrap();
    let mut stream = run.stream().unwrap();
    stream.push("before").unwrap();
    server.wait_events(SOON, 1, "agent-run-stream");
    server.cut();
    while agent.is_connected() {
        std::thread::sleep(Duration::from_millis(5));
    }
    stream.push(" and after").unwrap();
    agent.reconnect_now();
    server.wait_events(SOON, 2, "agent-thinking");
    stream.finish().unwrap();
    drop(run);
    drop(thinking);
    let end = server.wait_events(SOON, 1, "agent-run-error").remove(0);
    assert_eq!(end.payload()["transcript"].as_array().unwrap().len(), 4);
    let streamed = server.events("agent-run-stream");
    assert_eq!(streamed.last().unwrap().payload()["content"], "before and after");
    server.wait_events(SOON, 3, "agent-thinking");
    assert_no_violations(&server);
}

#[test]
fn the_server_records_violations_of_the_documented_form() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = connect(&server);
    let room = agent.join("lobby").unwrap();
    let base = json!({"runId": "r", "agencyId": room.id(), "agentId": AGENT, "username": "mybot",
        "displayName": "My Bot"});
    let tell = |event: &str, more: crustocean_interop::Value| {
        let mut payload = base.clone();
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        agent.raw().emit(event, &payload).unwrap();
    };
    tell("agent-run-status", json!({"status": "too early"}));
    tell(
        "agent-run-tool-result",
        json!({"toolCallId": "t", "tool": "x", "output": 1, "duration": "1ms", "status": "ok"}),
    );
    tell("agent-run-stream", json!({"messageId": "m", "delta": "b", "content": "a", "done": false}));
    tell("agent-run-complete", json!({"summary": "", "transcript": [{"type": "start", "ts": 0}]}));
    let noted: Vec<String> = server
        .wait(SOON, "violation", 7, |entry| entry["kind"] == "violation")
        .iter()
        .map(|entry| entry["what"].as_str().unwrap().to_owned())
        .collect();
    let expected = [
        "agent-run-status at the wrong moment",
        "agent-run-tool-result without a good status",
        "agent-run-tool-result without its call",
        "agent-run-stream with a delta that does not fit",
        "agent-run-complete with a stream that is not done",
        "a transcript without its ends",
        "the entry start without a good triggerMessageId",
    ];
    for what in expected {
        assert!(noted.iter().any(|noted| noted == what), "{what} is not among {noted:#?}");
    }
}
