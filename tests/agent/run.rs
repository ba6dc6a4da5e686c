//! Runs: their events in the room, and their transcripts.

use std::io::Write as _;
use std::time::Duration;

use crate::common::runs::{assert_no_violations, begun, lobby, run_events, transcript_at_end, without_times};
use crate::common::{SOON, TestSandbox, eventually, wait_for_message, watchdog};
use crustocean::{ErrorKind, Outgoing, Stop, run::Trigger};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_complete_run_sends_the_documented_events() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, room) = lobby(&sandbox, "larry");
    sandbox.alice_says("@larry the price?");
    let message = wait_for_message(&agent.events(), "the price");

    let run = room.start_run(&message).unwrap();
    run.status("analyzing").unwrap();
    let said = run.command("/echo ETH 3000").unwrap();
    assert!(said.ok && said.output == "ETH 3000", "{said:?}");
    let failed = run.command("/nothing").unwrap();
    assert!(!failed.ok, "{failed:?}");
    run.tool_with_id("call_1", "search", json!({"q": "eth"})).unwrap().done(json!(["a", "b"])).unwrap();
    run.tool_with_id("call_2", "fetch", "url").unwrap().failed("not there").unwrap();
    run.record(&json!({"type": "llm", "model": "x", "ts": "mine"})).unwrap();
    let mut stream = run.stream().unwrap();
    stream.push("ETH is").unwrap();
    stream.push(" at €3000").unwrap();
    let stream = stream.finish_with(Outgoing::new("").with("skill", "prices")).unwrap();
    let granted = std::thread::scope(|scope| {
        scope.spawn(|| {
            let asked = sandbox.wait_for_event("agent-run-permission", SOON).unwrap();
            let (run, id) = (asked["runId"].as_str().unwrap(), asked["permissionId"].as_str().unwrap());
            sandbox.respond_permission(run, id, "approve", Some("go on"));
        });
        run.request_permission("create_pull_request", "Open a PR").unwrap()
    });
    assert!(granted.is_granted());
    sandbox.interrupt_run(run.id().as_str(), "adjust", Some("use EUR"));
    let interrupt = run.wait_interrupt(SOON).unwrap().unwrap();
    assert_eq!(interrupt.message.as_deref(), Some("use EUR"));
    let id = run.id().to_string();
    run.complete("Done.").unwrap();

    let transcript = transcript_at_end(&sandbox, "agent-run-complete", &id);
    let of = |index: usize, key: &str| transcript[index][key].clone();
    let (echo, nothing, permission) = (of(2, "toolCallId"), of(4, "toolCallId"), of(13, "permissionId"));
    let expected = json!([
        {"type": "start", "triggerMessageId": message.id},
        {"type": "status", "status": "analyzing"},
        {"type": "tool-call", "toolCallId": echo, "tool": "/echo", "input": "ETH 3000"},
        {"type": "tool-result", "toolCallId": echo, "tool": "/echo", "output": "ETH 3000", "status": "done"},
        {"type": "tool-call", "toolCallId": nothing, "tool": "/nothing", "input": ""},
        {"type": "tool-result", "toolCallId": nothing, "tool": "/nothing", "output": failed.output,
            "status": "error"},
        {"type": "tool-call", "toolCallId": "call_1", "tool": "search", "input": {"q": "eth"}},
        {"type": "tool-result", "toolCallId": "call_1", "tool": "search", "output": ["a", "b"],
            "status": "done"},
        {"type": "tool-call", "toolCallId": "call_2", "tool": "fetch", "input": "url"},
        {"type": "tool-result", "toolCallId": "call_2", "tool": "fetch", "output": "not there",
            "status": "error"},
        {"type": "llm", "model": "x"},
        {"type": "stream-start", "messageId": stream},
        {"type": "stream-end", "messageId": stream, "contentLength": 15},
        {"type": "permission-request", "permissionId": permission, "action": "create_pull_request",
            "description": "Open a PR"},
        {"type": "permission-response", "permissionId": permission, "decision": "approve",
            "message": "go on"},
        {"type": "interrupt", "action": "adjust", "message": "use EUR"},
        {"type": "complete", "summary": "Done."},
    ]);
    assert_eq!(json!(transcript), expected);

    let events = run_events(&sandbox, &id);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.strip_prefix("agent-run-").unwrap()).collect();
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
        "stream",
        "stream",
        "permission",
        "complete",
    ];
    assert_eq!(names, expected);
    assert_eq!(events[0].1, json!({"triggerMessageId": message.id}));
    assert_eq!(events[2].1["status"], "running");
    let part = json!({"messageId": stream, "delta": "ETH is", "content": "ETH is", "done": false});
    assert_eq!(events[10].1, part);
    let whole = json!({"messageId": stream, "content": "ETH is at €3000", "done": true,
        "metadata": {"skill": "prices", "in_reply_to": message.id}});
    let mut end = events[11].1.clone();
    assert_eq!(end["metadata"]["loop_guard"]["hop"], 1);
    end["metadata"].as_object_mut().unwrap().remove("loop_guard");
    assert_eq!(end, whole);
    assert_no_violations(&sandbox);

    // The transcript can be read.
    let record = sandbox.client().runs().get(&id.as_str().into()).unwrap();
    assert_eq!((record.info.summary.as_deref(), record.transcript.len()), (Some("Done."), 17));
    let mine = agent.client().agencies().messages(room.id()).send().unwrap();
    assert_eq!((mine[0].content.as_str(), &mine[0].id), ("ETH is at €3000", &stream));
}

#[test]
fn one_run_in_a_room_and_several_rooms_at_once() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    sandbox.add_agency("Elsewhere", &sandbox.alice.id).unwrap();
    let (agent, room) = lobby(&sandbox, "larry");
    let elsewhere = agent.join("elsewhere").unwrap();

    let first = room.start_run(Trigger::none()).unwrap();
    let error = room.try_start_run(Trigger::none()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("a run is open in this room"), "{error}");
    let second = elsewhere.start_run(Trigger::none()).unwrap();
    let ids = [first.id().to_string(), second.id().to_string()];
    std::thread::scope(|scope| {
        for (name, run) in [("one", &first), ("two", &second)] {
            for thread in 0..3 {
                scope.spawn(move || {
                    for n in 0..20 {
                        run.status(format!("{name} {thread} {n}")).unwrap();
                        run.tool("count", n).unwrap().done(n).unwrap();
                    }
                });
            }
        }
    });
    second.complete("two").unwrap();
    first.complete("one").unwrap();
    for (id, summary) in ids.iter().zip(["one", "two"]) {
        let transcript = transcript_at_end(&sandbox, "agent-run-complete", id);
        assert_eq!(transcript.len(), 1 + 3 * 20 * 3 + 1);
        assert_eq!(transcript.last().unwrap(), &json!({"type": "complete", "summary": summary}));
        let statuses = transcript.iter().filter_map(|entry| entry["status"].as_str());
        assert!(statuses.filter(|status| *status != "done").all(|status| status.starts_with(summary)));
    }
    assert_no_violations(&sandbox);
    room.start_run(None).unwrap().complete("and again").unwrap();
}

#[test]
fn a_dropped_run_ends_as_an_error() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");

    let early = || -> crustocean::Result<()> {
        let run = room.start_run(Trigger::none())?;
        let _tool = run.tool("think", "hard")?;
        let mut stream = run.stream()?;
        stream.push("half a")?;
        stream.push(" sentence")?;
        run.command("no slash").map(drop)
    };
    assert_eq!(early().unwrap_err().kind(), ErrorKind::Invalid);
    let first = sandbox.wait_for_event("agent-run-error", SOON).unwrap();
    let entries = without_times(&first["transcript"]);
    let (tool, stream) = (&entries[1]["toolCallId"], &entries[2]["messageId"]);
    let expected = json!([
        begun(),
        {"type": "tool-call", "toolCallId": tool, "tool": "think", "input": "hard"},
        {"type": "stream-start", "messageId": stream},
        {"type": "stream-end", "messageId": stream, "contentLength": 15},
        {"type": "tool-result", "toolCallId": tool, "tool": "think", "output": "the program dropped the tool call", "status": "error"},
        {"type": "error", "message": first["error"]},
    ]);
    assert_eq!(json!(entries), expected);
    let whole = run_events(&sandbox, first["runId"].as_str().unwrap());
    let whole = whole.iter().find(|(_, payload)| payload["done"] == true).unwrap();
    assert_eq!(whole.1["content"], "half a sentence");

    let other = room.clone();
    let panicked = std::thread::spawn(move || {
        let run = other.start_run(Trigger::none()).unwrap();
        run.status("about to fail").unwrap();
        panic!("as planned");
    });
    assert!(panicked.join().is_err());
    let second = sandbox.wait_for_events("agent-run-error", 2, SOON).remove(1);
    assert_eq!(second["error"], "the agent panicked");
    assert_eq!(second["transcript"].as_array().unwrap().len(), 3);
    assert_no_violations(&sandbox);
    room.start_run(Trigger::none()).unwrap().error("on purpose").unwrap();
    let third = sandbox.wait_for_events("agent-run-error", 3, SOON).remove(2);
    assert_eq!(third["error"], "on purpose");
}

#[test]
fn a_run_survives_the_connection() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    let id = run.id().to_string();
    run.status("before").unwrap();
    let tool = run.tool("long", "job").unwrap();
    let mut stream = run.stream().unwrap();
    write!(stream, "before").unwrap();
    eventually("all is there", || run_events(&sandbox, &id).len() == 4);

    sandbox.drop_links();
    eventually("the loss is noticed", || !agent.is_connected());
    // This call does not wait.
    write!(stream, " and between").unwrap();
    agent.reconnect_now();
    run.status("after").unwrap();
    stream.push(" and after").unwrap();
    stream.finish().unwrap();
    tool.done("done").unwrap();
    run.complete("Done.").unwrap();

    let transcript = transcript_at_end(&sandbox, "agent-run-complete", &id);
    let kinds: Vec<&str> = transcript.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    let expected =
        ["start", "status", "tool-call", "stream-start", "status", "stream-end", "tool-result", "complete"];
    assert_eq!(kinds, expected);
    let events = run_events(&sandbox, &id);
    let starts = events.iter().filter(|(name, _)| name == "agent-run-start").count();
    assert_eq!(starts, 1, "one beginning");
    let whole = events.iter().find(|(_, payload)| payload["done"] == true).unwrap();
    assert_eq!(whole.1["content"], "before and between and after");
    assert_no_violations(&sandbox);
}

#[test]
fn an_end_waits_for_the_connection() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let builder = sandbox.builder().send_timeout(Duration::from_millis(100));
    let agent = builder.connect(sandbox.agent_token("larry")).unwrap();
    let room = agent.join("lobby").unwrap();
    sandbox.add_agency("Elsewhere", &sandbox.alice.id).unwrap();
    let elsewhere = agent.join("elsewhere").unwrap();
    let (run, dropped) =
        (room.start_run(Trigger::none()).unwrap(), elsewhere.start_run(Trigger::none()).unwrap());
    let ids = [run.id().to_string(), dropped.id().to_string()];
    let tool = dropped.tool("long", "job").unwrap();
    eventually("both are known", || run_events(&sandbox, &ids[1]).len() == 2);

    let state = sandbox.suspend();
    eventually("the loss is noticed", || !agent.is_connected());
    assert_eq!(run.status("not sent").unwrap_err().kind(), ErrorKind::NotSent);
    assert_eq!(run.complete("Done.").unwrap_err().kind(), ErrorKind::NotSent);
    // Destructors do not wait.
    drop(tool);
    drop(dropped);

    let sandbox = TestSandbox::resumed(state, sandbox.alice);
    agent.reconnect_now();
    let first = sandbox.wait_for_event("agent-run-complete", SOON).unwrap();
    assert_eq!((first["runId"].as_str(), &first["summary"]), (Some(&*ids[0]), &json!("Done.")));
    assert_eq!(first["transcript"][1]["status"], "not sent", "but not lost");
    let second = sandbox.wait_for_event("agent-run-error", SOON).unwrap();
    assert_eq!(second["runId"], ids[1].as_str());
    let names: Vec<String> = run_events(&sandbox, &ids[1]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["agent-run-tool-result", "agent-run-error"]);
    let joins = sandbox.events().iter().position(|(name, _)| name == "agent-run-complete").unwrap();
    assert!(sandbox.events()[..joins].iter().filter(|(name, _)| name == "join-agency").count() >= 2);
}

#[test]
fn too_large_texts_are_cut_and_the_end_still_arrives() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    run.status("the first").unwrap();
    let log = "line\n".repeat(400_000);
    run.tool("build", "all").unwrap().done(log).unwrap();
    // Control characters take six bytes each.
    for n in 0..60 {
        run.tool("noise", n).unwrap().done("\u{1}".repeat(30_000)).unwrap();
    }
    run.complete("\u{1}".repeat(30_000)).unwrap();
    let end = sandbox.wait_for_event("agent-run-complete", SOON).unwrap();
    let transcript = end["transcript"].as_array().unwrap();
    assert_eq!((&transcript[0]["type"], &transcript[1]["type"]), (&json!("start"), &json!("omitted")));
    assert!(transcript[1]["count"].as_u64().unwrap() > 50);
    assert_eq!(transcript.last().unwrap()["type"], "complete");
    let result = sandbox.wait_for_event("agent-run-tool-result", SOON).unwrap();
    let output = result["output"].as_str().unwrap();
    assert!(output.starts_with("line\n") && output.ends_with("bytes more)") && output.len() < 40_000);
    assert_no_violations(&sandbox);
}

#[test]
fn a_custom_step_is_a_tool_call() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    let id = run.id().to_string();
    let found: Result<usize, String> = run.tool_step("count", "x", || Ok(3));
    assert_eq!(found, Ok(3));
    let failed: Result<Value, String> = run.tool_step("count", "y", || Err("no y".to_owned()));
    assert_eq!(failed, Err("no y".to_owned()));
    run.complete("").unwrap();
    let transcript = transcript_at_end(&sandbox, "agent-run-complete", &id);
    assert_eq!((&transcript[2]["output"], &transcript[2]["status"]), (&json!(3), &json!("done")));
    assert_eq!((&transcript[4]["output"], &transcript[4]["status"]), (&json!("no y"), &json!("error")));
    assert_no_violations(&sandbox);
}

#[test]
fn closing_the_agent_ends_its_runs() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    run.status("at it").unwrap();
    let thinking = room.thinking("still");
    agent.close().unwrap();
    let end = sandbox.wait_for_event("agent-run-error", SOON).unwrap();
    assert_eq!(
        (&end["error"], end["runId"].as_str()),
        (&json!("the agent was closed"), Some(run.id().as_str()))
    );
    assert_eq!(end["transcript"].as_array().unwrap().len(), 3);
    let shown = sandbox.wait_for_events("agent-thinking", 2, SOON);
    assert_eq!(shown[1]["thinking"], false);
    let id = run.id().to_string();
    assert!(run.status("too late").unwrap_err().is_closed());
    assert!(run.stream().unwrap_err().is_closed());
    assert!(run.complete("too late").unwrap_err().is_closed());
    drop(thinking);
    assert_eq!(run_events(&sandbox, &id).len(), 3, "one end");
    assert_no_violations(&sandbox);
}

#[test]
fn the_end_of_the_agent_ends_streams_and_tool_calls() {
    let _watchdog = watchdog(LIMIT);
    for way in ["close", "stop", "drop"] {
        let sandbox = TestSandbox::new();
        let stop = Stop::new();
        let agent = sandbox.builder().stop(&stop).connect(sandbox.agent_token("larry")).unwrap();
        let room = agent.join("lobby").unwrap();
        let events = agent.events();
        sandbox.alice_says("@larry a story");
        let question = wait_for_message(&events, "a story");
        let run = room.start_run(&question).unwrap();
        let id = run.id().to_string();
        let mut shown = run.stream().unwrap();
        shown.push("once upon").unwrap();
        // The room does not see this piece before the end.
        shown.push(" a time").unwrap();
        let call = run.tool("search", "x").unwrap();
        drop(events);
        match way {
            "close" => agent.close().unwrap(),
            "stop" => stop.stop(),
            _ => drop(agent),
        }
        let story = shown.id().to_string();
        if way == "drop" {
            drop((room, shown, call, run));
        } else {
            assert_eq!(sandbox.wait_for_events("agent-run-error", 1, SOON).len(), 1);
            assert!(shown.push(" more").unwrap_err().is_closed());
            assert!(shown.finish().unwrap_err().is_closed());
            assert!(call.done("late").unwrap_err().is_closed());
            drop(run);
        }
        assert_eq!(sandbox.wait_for_events("agent-run-error", 1, SOON).len(), 1);
        let events = run_events(&sandbox, &id);
        let ends = events.iter().filter(|(name, event)| name == "agent-run-stream" && event["done"] == true);
        let ends: Vec<_> = ends.map(|(_, event)| (&event["content"], &event["messageId"])).collect();
        assert_eq!(ends, [(&json!("once upon a time"), &json!(story))], "{way}");
        let results = events.iter().filter(|(name, _)| name == "agent-run-tool-result");
        assert_eq!(results.map(|(_, event)| &event["status"]).collect::<Vec<_>>(), ["error"], "{way}");
        assert_eq!(events.last().unwrap().0, "agent-run-error", "{way}");
        let transcript = events.last().unwrap().1["transcript"].clone();
        let ended = without_times(&transcript).into_iter().filter(|entry| entry["type"] == "stream-end");
        assert_eq!(ended.count(), 1, "{way}");
        assert_no_violations(&sandbox);
        let room = sandbox.room("lobby").unwrap();
        assert!(room.messages().iter().any(|message| message.content == "once upon a time"), "{way}");
    }
}
