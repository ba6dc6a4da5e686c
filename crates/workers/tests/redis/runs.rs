//! Runs, interrupts, permissions and loop guards in the handlers of a worker.

use std::sync::Mutex;
use std::time::Duration;

use crustocean_workers::{Answer, HandlerError, Output, Task};
use serde_json::{Value, json};

use crate::rig::{LONG, Rig};
use crate::support::eventually;

/// Answers by a run, and asks for permission first.
fn buy(task: &Task<'_>) -> Result<Answer, HandlerError> {
    let room = task.room().ok_or("no connection")?;
    let run = room.start_run(task.message())?;
    let permission = run.request_permission_within(LONG, "place_order", "Buy 0.1 ETH?")?;
    let text = if permission.is_granted() { "bought" } else { "left it" };
    let mut stream = run.stream()?;
    stream.push(text)?;
    stream.finish_with(task.in_reply(text))?;
    run.complete(text)?;
    Ok(Answer::nothing())
}

/// The payload of the next event with this name.
fn next_event(rig: &Rig, event: &str) -> Value {
    rig.platform.sandbox.wait_for_event(event, LONG).unwrap_or_else(|| panic!("no {event}"))
}

fn text<'a>(payload: &'a Value, key: &str) -> &'a str {
    payload[key].as_str().unwrap_or_else(|| panic!("no {key} in {payload}"))
}

#[test]
fn a_handler_runs_asks_for_permission_and_answers_once() {
    let rig = Rig::start(2);
    rig.run(&[rig.workers("one"), rig.workers("two")], buy, || {
        for (room, decision, answer) in [(0, "approve", "bought"), (1, "deny", "left it")] {
            let asked = rig.platform.ask(room, "buy some");
            assert_eq!(next_event(&rig, "agent-run-start")["triggerMessageId"], asked.as_str());
            let request = next_event(&rig, "agent-run-permission");
            let (run, permission) = (text(&request, "runId"), text(&request, "permissionId"));
            rig.platform.sandbox.respond_permission(run, permission, decision, None);
            eventually("the answer", LONG, || rig.platform.answers(room) == [answer]);
            assert_eq!(next_event(&rig, "agent-run-complete")["summary"], answer);
        }
        eventually("nothing is left", LONG, || {
            rig.status().shards.iter().all(|shard| shard.lag + shard.pending == 0)
        });
        assert_eq!([rig.platform.answers(0), rig.platform.answers(1)], [["bought"], ["left it"]]);
    });
    assert_eq!(rig.platform.sandbox.run_violations(), Vec::<String>::new());
}

#[test]
fn a_users_adjustments_and_stop_reach_the_handlers_run() {
    let rig = Rig::start(1);
    let heard = Mutex::new(Vec::new());
    let handler = |task: &Task<'_>| {
        let run = task.room().ok_or("no connection")?.start_run(task.message())?;
        while heard.lock().unwrap().len() < 2 {
            let interrupt = run.wait_interrupt(LONG)?.ok_or("nobody interrupts")?;
            heard.lock().unwrap().push((interrupt.action.as_str().to_owned(), interrupt.message));
        }
        assert!(run.is_stopped());
        run.error("stopped")?;
        Ok("I was stopped".into())
    };
    rig.run(&[rig.workers("one")], handler, || {
        rig.platform.ask(0, "think it over");
        let started = next_event(&rig, "agent-run-start");
        let run = text(&started, "runId");
        rig.platform.sandbox.interrupt_run(run, "adjust", Some("in EUR"));
        rig.platform.sandbox.interrupt_run(run, "stop", None);
        eventually("the answer", LONG, || rig.platform.answers(0) == ["I was stopped"]);
    });
    let heard = heard.into_inner().unwrap();
    assert_eq!(heard, [("adjust".to_owned(), Some("in EUR".to_owned())), ("stop".to_owned(), None)]);
}

/// When a worker dies between the end of its run and the acknowledgement, the next one must not start another run.
#[test]
fn a_question_whose_answer_a_run_posted_is_not_handled_again() {
    let rig = Rig::start(1);
    let runs = Mutex::new(0);
    let handler = |task: &Task<'_>| {
        *runs.lock().unwrap() += 1;
        let run = task.room().ok_or("no connection")?.start_run(task.message())?;
        let mut stream = run.stream()?;
        stream.push("done")?;
        stream.finish_with(task.in_reply("done"))?;
        run.complete("done")?;
        Err("died".into())
    };
    rig.run(&[rig.workers("one")], handler, || {
        rig.platform.ask(0, "go");
        eventually("the answer", LONG, || rig.platform.answers(0) == ["done"]);
        eventually("it is done with", LONG, || {
            rig.status().shards.iter().all(|shard| shard.lag + shard.pending == 0)
        });
    });
    assert_eq!((runs.into_inner().unwrap(), rig.platform.answers(0)), (1, vec!["done".to_owned()]));
    assert_eq!(rig.status().dead, 0);
}

fn guard(hop: u32) -> Value {
    json!({ "interaction_id": "lg_1_a", "hop": hop, "max_hops": 9, "status": "active" })
}

#[test]
fn loop_guards_count_hops_and_end_a_chain() {
    for through_holder in [false, true] {
        let rig = Rig::start(1);
        let platform = &rig.platform;
        let ben = platform.sandbox.add_agent("ben", &platform.alice.id).unwrap();
        let says = |text: &str, guard: Value| {
            let metadata = json!({ "loop_guard": guard });
            platform.sandbox.say(&platform.rooms[0], &ben.id, text, metadata).unwrap();
        };
        let mut workers = rig.workers("one");
        if through_holder {
            workers = workers.output(Output::ThroughHolder);
        }
        // Posts the first answer itself if it has a room, and returns the second one.
        let handler = |task: &Task<'_>| {
            if let Some(room) = task.room() {
                room.in_reply_to(task.message()).post("first")?;
            }
            Ok("answer".into())
        };
        rig.run(&[workers], handler, || {
            // At the last hop: no agent answers it.
            says("@larry enough", guard(9));
            says("@larry and you?", guard(3));
            eventually("the answer", LONG, || {
                platform.answers(0).last().is_some_and(|text| text == "answer")
            });
        });
        let sent: Vec<Value> = platform
            .sandbox
            .events()
            .into_iter()
            .filter(|(name, _)| name == "send-message")
            .map(|(_, payload)| payload)
            .collect();
        assert_eq!(sent.len(), if through_holder { 1 } else { 2 }, "{sent:?}");
        for message in sent {
            assert_eq!(message["metadata"]["loop_guard"], guard(4), "{message}");
        }
    }
}

/// A worker does not read the events of its connection. The events that a run waits for arrive nevertheless.
#[test]
fn a_run_gets_its_permission_although_the_event_queue_is_full() {
    let rig = Rig::start(1);
    let connect = rig.platform.connect();
    let workers = rig.workers("one");
    let workers = workers.output(Output::direct(move |builder| connect(builder.queue(8, 100_000))));
    rig.run(&[workers], buy, || {
        rig.platform.ask(0, "buy some");
        let request = next_event(&rig, "agent-run-permission");
        for n in 0..100 {
            rig.platform.say(0, &format!("talk {n}"));
        }
        let (run, permission) = (text(&request, "runId"), text(&request, "permissionId"));
        rig.platform.sandbox.respond_permission(run, permission, "approve", None);
        eventually("the answer", LONG + Duration::from_secs(5), || {
            rig.platform.answers(0).last().is_some_and(|text| text == "bought")
        });
    });
}
