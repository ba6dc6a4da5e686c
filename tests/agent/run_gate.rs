//! Input from the room to a run: interrupts, and answers to permission requests.

use std::time::{Duration, Instant};

use crate::common::runs::{assert_no_violations, kinds, lobby, run_events, transcript_at_end};
use crate::common::{SOON, ScriptedServer, TestSandbox, eventually, scripted, watchdog};
use crustocean::{
    ErrorKind,
    model::InterruptAction,
    run::{Permission, Run, Trigger},
};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

/// Requests permission, and calls `answer` when the room has seen the `nth` request, counted from 1.
fn ask(sandbox: &TestSandbox, run: &Run, nth: usize, answer: impl FnOnce(&str, &str) + Send) -> Permission {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let asked = sandbox.wait_for_events("agent-run-permission", nth, SOON).remove(nth - 1);
            assert_eq!((&asked["action"], &asked["description"]), (&json!("deploy"), &json!("Deploy it")));
            answer(asked["runId"].as_str().unwrap(), asked["permissionId"].as_str().unwrap());
        });
        run.request_permission_within(SOON, "deploy", "Deploy it").unwrap()
    })
}

#[test]
fn only_approve_grants_permission() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    let id = run.id().to_string();
    let sandbox = &sandbox;

    let yes = ask(sandbox, &run, 1, |run, id| {
        // Answers for another run, and for another request.
        sandbox.emit_to_agency(
            &sandbox.lobby_id(),
            "agent-run-permission-response",
            json!({"runId": "x", "permissionId": id, "decision": "deny"}),
        );
        sandbox.respond_permission(run, "another", "deny", None);
        sandbox.respond_permission(run, id, "approve", None);
    });
    assert!(matches!(yes, Permission::Granted { message: None, .. }), "{yes:?}");
    for (n, decision) in [(2, "deny"), (3, "yes"), (4, "Approve")] {
        let no = ask(sandbox, &run, n, |run, id| {
            sandbox.respond_permission(run, id, decision, Some("not today"));
        });
        let said = matches!(&no, Permission::Denied { message: Some(text), .. } if text == "not today");
        assert!(said && !no.is_granted(), "{decision}: {no:?}");
    }
    let late = run.request_permission_within(Duration::from_millis(200), "deploy", "Deploy it").unwrap();
    assert_eq!(late, Permission::TimedOut);
    run.complete("").unwrap();
    let transcript = transcript_at_end(sandbox, "agent-run-complete", &id);
    let responses = transcript.iter().filter(|entry| entry["type"] == "permission-response");
    let said: Vec<_> = responses.map(|entry| json!([entry["decision"], entry["message"]])).collect();
    let expected = [
        json!(["approve", null]),
        json!(["deny", "not today"]),
        json!(["deny", "not today"]),
        json!(["deny", "not today"]),
        json!(["deny", "timeout"]),
    ];
    assert_eq!(said, expected);
    assert_no_violations(sandbox);
}

#[test]
fn a_member_of_the_room_answers() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let (member, _) = lobby(&sandbox, "ben");
    let run = room.start_run(Trigger::none()).unwrap();
    let answered = ask(&sandbox, &run, 1, |run, id| {
        let answer = json!({"agencyId": room.id(), "runId": run, "permissionId": id, "decision": "approve"});
        member.raw().emit("agent-run-permission-response", &answer).unwrap();
    });
    assert!(answered.is_granted());
    let stop = json!({"agencyId": room.id(), "runId": run.id(), "action": "stop"});
    member.raw().emit("agent-run-interrupt", &stop).unwrap();
    assert_eq!(run.wait_interrupt(SOON).unwrap().unwrap().action, InterruptAction::Stop);
    assert_no_violations(&sandbox);
}

#[test]
fn a_lost_connection_is_not_an_answer() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();

    // The agent reconnects in time. It repeats the request with the same id, and gets the answer.
    let sandbox = &sandbox;
    let granted = ask(sandbox, &run, 1, |run, id| {
        sandbox.drop_links();
        eventually("the loss is noticed", || !agent.is_connected());
        agent.reconnect_now();
        let again = sandbox.wait_for_events("agent-run-permission", 2, SOON).remove(1);
        assert_eq!(again["permissionId"], id);
        sandbox.respond_permission(run, id, "approve", None);
    });
    assert!(granted.is_granted());
    assert_no_violations(sandbox);
    let asked = kinds(&run).iter().filter(|kind| *kind == "permission-request").count();
    assert_eq!(asked, 1, "it is one request");

    // The agent does not reconnect in time.
    let started = Instant::now();
    let lost = std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = sandbox.wait_for_events("agent-run-permission", 3, SOON);
            sandbox.stop();
        });
        run.request_permission_within(Duration::from_secs(3), "deploy", "Deploy it").unwrap()
    });
    assert_eq!(lost, Permission::Disconnected);
    assert!(started.elapsed() >= Duration::from_secs(3), "it might have come back");

    // The agent is closed, which ends all waits.
    let limit = Duration::from_secs(3600);
    let closed = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| run.request_permission_within(limit, "deploy", "Deploy it").unwrap());
        // The server has ended without confirming the last messages.
        assert_eq!(agent.clone().close().unwrap_err().kind(), ErrorKind::MaybeSent);
        waiting.join().unwrap()
    });
    assert_eq!(closed, Permission::Disconnected);
    assert!(run.wait_interrupt(limit).unwrap_err().is_closed());
    assert_eq!(run.interrupt(), None);
}

#[test]
fn a_stop_ends_the_wait_for_permission() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    let sandbox = &sandbox;
    let stopped = ask(sandbox, &run, 1, |run, _| {
        // The first interrupt is not a stop.
        sandbox.interrupt_run(run, "adjust", Some("hurry up"));
        sandbox.interrupt_run(run, "stop", None);
    });
    assert_eq!(stopped, Permission::Stopped);
    // The run makes no further request.
    let again = run.request_permission_within(SOON, "deploy", "Deploy it").unwrap();
    assert_eq!(again, Permission::Stopped);
    assert_eq!(sandbox.events().iter().filter(|(name, _)| name == "agent-run-permission").count(), 1);
    // The interrupts can still be read.
    assert_eq!(run.interrupt().unwrap().action, InterruptAction::Adjust);
    assert_eq!(run.interrupt().unwrap().action, InterruptAction::Stop);
    assert_eq!(run.interrupt(), None);
    assert_no_violations(sandbox);
}

#[test]
fn interrupts_are_seen_in_order_and_a_stop_stays() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, room) = lobby(&sandbox, "larry");
    sandbox.add_agency("Elsewhere", &sandbox.alice.id).unwrap();
    let other = agent.join("elsewhere").unwrap().start_run(Trigger::none()).unwrap();
    let run = room.start_run(Trigger::none()).unwrap();
    let (id, sandbox) = (run.id().as_str(), &sandbox);
    eventually("both are known", || {
        run_events(sandbox, id).len() + run_events(sandbox, other.id().as_str()).len() == 2
    });
    assert_eq!((run.interrupt(), run.is_stopped()), (None, false));
    assert_eq!(run.wait_interrupt(Duration::from_millis(50)).unwrap(), None);

    // The connection is read although no loop iterates.
    sandbox.interrupt_run(id, "adjust", Some("use EUR"));
    sandbox.interrupt_run(id, "adjust", Some("no, USD"));
    sandbox.interrupt_run(id, "pause", None);
    sandbox.interrupt_run(id, "stop", Some("enough"));
    eventually("the stop is seen without being taken", || run.is_stopped());
    let taken: Vec<_> = std::iter::from_fn(|| run.interrupt()).collect();
    let said: Vec<_> =
        taken.iter().map(|interrupt| (interrupt.action.as_str(), interrupt.message.as_deref())).collect();
    let expected =
        [("adjust", Some("use EUR")), ("adjust", Some("no, USD")), ("pause", None), ("stop", Some("enough"))];
    assert_eq!(said, expected);
    assert!(run.is_stopped() && !other.is_stopped());
    assert_eq!(other.interrupt(), None);

    // Malformed interrupts are ignored.
    for broken in [json!(null), json!({"runId": id}), json!({"runId": 7, "action": []}), json!(["stop"])] {
        sandbox.emit_to_user(agent.user().id.as_str(), "agent-run-interrupt", broken);
    }
    sandbox.interrupt_run(other.id().as_str(), "stop", None);
    assert_eq!(other.wait_interrupt(SOON).unwrap().unwrap().action, InterruptAction::Stop);
    assert_eq!(run.interrupt(), None);

    let id = id.to_owned();
    run.error("stopped").unwrap();
    let transcript = transcript_at_end(sandbox, "agent-run-error", &id);
    let noted: Vec<_> = transcript.iter().filter(|entry| entry["type"] == "interrupt").collect();
    assert_eq!(noted.len(), 4, "once each, and only those of this run");
    assert_eq!(*noted[2], json!({"type": "interrupt", "action": "pause", "message": null}));
}

#[test]
fn a_flood_of_interrupts_does_not_fill_the_memory() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        let start = conn.expect_event("agent-run-start");
        let message = "x".repeat(100_000);
        for _ in 0..200 {
            let more = json!({"runId": start["runId"], "action": "adjust", "message": message});
            conn.send_event("agent-run-interrupt", more);
        }
        conn.send_event("agent-run-interrupt", json!({"runId": start["runId"], "action": "stop"}));
        let end = conn.expect_event("agent-run-error");
        assert!(end.to_string().len() < 900_000);
        conn.until_gone(SOON);
    });
    let agent = scripted(&server);
    let room = agent.join("ag-1").unwrap();
    // A loop must take events, so that the server can continue to send.
    let events = agent.events();
    let consumer = std::thread::spawn(move || events.count());
    let run = room.start_run(Trigger::none()).unwrap();
    eventually("the stop is seen", || run.is_stopped());
    let taken = std::iter::from_fn(|| run.interrupt()).count();
    assert!((1..=90).contains(&taken), "{taken} of 200 times 100 kB");
    run.error("enough").unwrap();
    agent.close().unwrap();
    consumer.join().unwrap();
    server.finish(SOON);
}

#[test]
fn a_stop_is_seen_by_a_loop_that_only_writes() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    let sandbox = &sandbox;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let part = sandbox.wait_for_event("agent-run-stream", SOON).unwrap();
            sandbox.interrupt_run(part["runId"].as_str().unwrap(), "stop", None);
        });
        // Like a model whose answer never ends.
        let mut stream = run.stream().unwrap();
        while !run.is_stopped() {
            stream.push("on and ").unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        stream.finish().unwrap();
    });
    run.error("stopped").unwrap();
    assert!(sandbox.wait_for_event("agent-run-error", SOON).is_some());
    assert_no_violations(sandbox);
}

/// Answers the permission requests of a run, one after another.
fn answer_all<T>(
    sandbox: &TestSandbox,
    decisions: &[(&str, Option<&str>)],
    program: impl FnOnce() -> T,
) -> T {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (n, (decision, message)) in decisions.iter().enumerate() {
                let asked = sandbox.wait_for_events("agent-run-permission", n + 1, SOON).remove(n);
                assert_eq!(
                    (&asked["action"], &asked["description"]),
                    (&json!("deploy"), &json!("Deploy it?"))
                );
                let (run, id) = (asked["runId"].as_str().unwrap(), asked["permissionId"].as_str().unwrap());
                match *decision {
                    "stop" => sandbox.interrupt_run(run, "stop", None),
                    decision => sandbox.respond_permission(run, id, decision, *message),
                }
            }
        });
        program()
    })
}

/// Output and status of each tool's result.
fn results(run: &Run) -> Vec<serde_json::Value> {
    let transcript = serde_json::to_value(run.transcript()).unwrap();
    let entries = transcript.as_array().unwrap().iter();
    let results = entries.filter(|entry| entry["type"] == "tool-result");
    results.map(|entry| json!([entry["output"], entry["status"]])).collect()
}

#[test]
fn a_tool_runs_only_if_the_room_permits_it() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    let steps = std::cell::Cell::new(0);
    let deploy = |outcome: Result<&'static str, &'static str>| {
        run.tool_step_if_permitted("deploy", "1.2", "Deploy it?", || {
            steps.set(steps.get() + 1);
            outcome.map_err(Box::<dyn std::error::Error>::from)
        })
    };
    let decisions = [
        ("approve", None),
        ("approve", Some("go")),
        ("deny", Some("not today")),
        ("deny", None),
        ("approve", None),
        ("stop", None),
    ];
    answer_all(&sandbox, &decisions, || {
        assert_eq!(deploy(Ok("deployed")).unwrap(), Some("deployed"));
        assert_eq!(deploy(Err("no disk")).unwrap_err().to_string(), "no disk");
        assert_eq!(deploy(Ok("deployed")).unwrap(), None);
        let call = |id: &str| run.tool_with_id(id, "deploy", "1.3").unwrap();
        assert!(call("call_0").if_permitted("Deploy it?").unwrap().is_none());
        let permitted = call("call_1").if_permitted("Deploy it?").unwrap().expect("it is permitted");
        assert_eq!(permitted.id(), "call_1");
        permitted.done("deployed, too").unwrap();
        assert_eq!(deploy(Ok("deployed")).unwrap(), None);
    });
    assert_eq!(steps.get(), 2);
    let expected = [
        json!(["deployed", "done"]),
        json!(["no disk", "error"]),
        json!(["denied: not today", "error"]),
        json!(["denied", "error"]),
        json!(["deployed, too", "done"]),
        json!(["a member stopped the run", "error"]),
    ];
    assert_eq!(results(&run), expected);
    run.complete("").unwrap();
    let after = deploy(Ok("deployed")).unwrap_err();
    assert!(after.to_string().contains("this run has ended"), "{after}");
    assert_eq!(steps.get(), 2);
    assert_no_violations(&sandbox);
}

#[test]
fn a_tools_duration_does_not_contain_the_time_of_the_answer() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    let thinks = Duration::from_millis(500);
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let asked = sandbox.wait_for_events("agent-run-permission", 1, SOON).remove(0);
            std::thread::sleep(thinks);
            let (run, id) = (asked["runId"].as_str().unwrap(), asked["permissionId"].as_str().unwrap());
            sandbox.respond_permission(run, id, "approve", None);
        });
        let step = || Ok::<_, Box<dyn std::error::Error>>("deployed");
        assert!(run.tool_step_if_permitted("deploy", "1", "Deploy it?", step).unwrap().is_some());
    });
    let all = began.elapsed();
    let result = sandbox.wait_for_event("agent-run-tool-result", SOON).unwrap();
    let ms = result["duration"].as_str().unwrap().strip_suffix("ms").unwrap().parse().unwrap();
    assert!(Duration::from_millis(ms) + thinks <= all, "{ms} ms of {all:?}");
}
