//! `in_parallel`: several rooms at the same time, each in order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::{SOON, TestSandbox, eventually, wait_for_message, watchdog};
use crustocean::agent::{MemoryStore, Reconnect};
use crustocean::{AgencyId, ErrorKind, Stop};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(180);

fn ask(sandbox: &TestSandbox, room: &str, text: &str) {
    sandbox.say(room, &sandbox.alice.id, &format!("@larry {text}"), Value::Null).unwrap();
}

#[test]
fn rooms_are_handled_in_parallel_and_each_in_order() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.connect("larry");
    let rooms: Vec<String> = (0..4)
        .map(|n| sandbox.add_agency(&format!("Room {n}"), &sandbox.alice.id).unwrap())
        .inspect(|room| drop(agent.join(AgencyId::from(room.as_str())).unwrap()))
        .collect();
    // All four handlers must run at the same time to pass this point.
    let all_at_work = Barrier::new(4);
    let (at_work, heard) = (Mutex::new(HashMap::new()), Mutex::new(HashMap::<String, Vec<String>>::new()));
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            agent.mentions().in_parallel(4, |question| -> crustocean::Result<()> {
                let room = question.agency_id.to_string();
                let before = at_work.lock().unwrap().insert(room.clone(), ());
                assert!(before.is_none(), "two at a time in one room");
                if question.content.ends_with(" 0") {
                    all_at_work.wait();
                }
                thread::sleep(Duration::from_millis(2));
                heard.lock().unwrap().entry(room.clone()).or_default().push(question.content.clone());
                at_work.lock().unwrap().remove(&room);
                Ok(())
            })
        });
        for n in 0..25 {
            rooms.iter().for_each(|room| ask(&sandbox, room, &n.to_string()));
        }
        let count = || heard.lock().unwrap().values().map(Vec::len).sum::<usize>();
        eventually("all are answered", || count() == 100);
        agent.clone().close().unwrap();
        working.join().unwrap().unwrap();
    });
    let expected: Vec<String> = (0..25).map(|n| format!("@larry {n}")).collect();
    assert!(heard.into_inner().unwrap().into_values().all(|heard| heard == expected));
}

#[test]
fn the_answer_to_a_question_of_a_handler_is_no_question() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let (answers, questions) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            agent.mentions().in_parallel(2, |question| -> crustocean::Result<()> {
                if question.content.contains("delete") {
                    let answer = question.ask("Are you sure?", SOON)?;
                    answers.lock().unwrap().push(answer.content.clone());
                } else {
                    questions.lock().unwrap().push(question.content.clone());
                }
                Ok(())
            })
        });
        let ben = sandbox.in_lobby("ben").events();
        for n in 0..5 {
            sandbox.alice_says(&format!("@larry delete {n}"));
            wait_for_message(&ben, "Are you sure?");
            sandbox.alice_says(&format!("@larry yes {n}"));
            eventually("the answer", || answers.lock().unwrap().len() == n + 1);
        }
        sandbox.alice_says("@larry the last");
        eventually("the last question", || !questions.lock().unwrap().is_empty());
        agent.clone().close().unwrap();
        working.join().unwrap().unwrap();
    });
    let expected: Vec<String> = (0..5).map(|n| format!("@larry yes {n}")).collect();
    assert_eq!(*answers.lock().unwrap(), expected);
    assert_eq!(*questions.lock().unwrap(), ["@larry the last"]);
}

#[test]
fn a_failing_handler_loses_only_its_message_and_shows_it_in_the_room() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.connect("larry");
    let lobby = agent.join("lobby").unwrap();
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            agent.mentions().in_parallel(2, |question| {
                let run = agent.room_of(&question).start_run(&question)?;
                match question.content.as_str() {
                    "@larry fail" => return Err("as planned".into()),
                    "@larry panic" => panic!("as planned"),
                    _ => run.complete("well")?,
                }
                Ok::<(), Box<dyn std::error::Error>>(())
            })
        });
        for text in ["fail", "panic", "go on"] {
            ask(&sandbox, lobby.id().as_str(), text);
        }
        assert!(sandbox.wait_for_event("agent-run-complete", SOON).is_some());
        let errors = sandbox.wait_for_events("agent-run-error", 2, SOON);
        assert_eq!(errors[1]["error"], "the agent panicked");
        agent.clone().close().unwrap();
        working.join().unwrap().unwrap();
    });
}

#[test]
fn a_flood_of_questions_is_bounded_and_a_stop_ends_it() {
    let _watchdog = watchdog(LIMIT);
    let (sandbox, stop) = (TestSandbox::new(), Stop::new());
    let agent = sandbox.builder().stop(&stop).connect(sandbox.agent_token("larry")).unwrap();
    let lobby = agent.join("lobby").unwrap();
    for n in 0..1500 {
        ask(&sandbox, lobby.id().as_str(), &n.to_string());
    }
    let handled = AtomicUsize::new(0);
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            agent.mentions().in_parallel(0, |_| -> crustocean::Result<()> {
                handled.fetch_add(1, Ordering::SeqCst);
                // Blocks until the end, so that all others wait.
                stop.wait(LIMIT);
                Ok(())
            })
        });
        eventually("one is at work", || handled.load(Ordering::SeqCst) == 1);
        stop.stop();
        working.join().unwrap().unwrap();
    });
    assert_eq!(handled.load(Ordering::SeqCst), 1, "what waited is not handled");
}

#[test]
fn an_agent_that_fails_is_an_error() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.builder().reconnect(Reconnect::Never).connect(sandbox.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    sandbox.drop_links();
    let error = agent.mentions().in_parallel(2, |_| Ok::<(), String>(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
}

#[test]
fn a_question_interrupted_by_a_stop_is_asked_again_after_the_next_start() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (token, store) = (sandbox.agent_token("larry"), MemoryStore::default());
    let start = |stop: &Stop| {
        let agent = sandbox.builder().stop(stop).remember_in(store.clone()).connect(token.clone()).unwrap();
        agent.join("lobby").unwrap();
        agent
    };
    let (stop, at_work) = (Stop::new(), AtomicUsize::new(0));
    {
        let agent = start(&stop);
        for text in ["done", "cut short", "not begun"] {
            ask(&sandbox, &sandbox.lobby_id(), text);
        }
        thread::scope(|scope| {
            let working = scope.spawn(|| {
                agent.mentions().in_parallel(2, |question| {
                    if question.content != "@larry done" {
                        at_work.fetch_add(1, Ordering::SeqCst);
                        stop.wait(LIMIT);
                    }
                    agent.reply(&question, "here you are")
                })
            });
            eventually("one is at work", || at_work.load(Ordering::SeqCst) == 1);
            // The first answer is in the room by now.
            eventually("one is answered", || sandbox.messages(&sandbox.lobby_id()).len() == 4);
            stop.stop();
            working.join().unwrap().unwrap();
        });
    }
    // The interrupted handler may have answered before the disconnect.
    let answered = sandbox.messages(&sandbox.lobby_id()).len() - 4;
    let agent = start(&Stop::new());
    let mentions = agent.mentions();
    let mut again: Vec<String> = Vec::new();
    while again.last().is_none_or(|text| text != "@larry not begun") {
        again.push(mentions.recv_timeout(SOON).unwrap().content.clone());
    }
    let expected = ["@larry cut short", "@larry not begun"];
    assert_eq!(again, expected[answered.min(1)..]);
}

/// Panics when it is dropped.
#[derive(Debug)]
struct BadDrop;

impl Drop for BadDrop {
    fn drop(&mut self) {
        panic!("dropped")
    }
}

impl std::fmt::Display for BadDrop {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("shown")
    }
}

#[test]
fn a_handlers_error_may_panic_when_it_is_shown_and_dropped() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let (handled, mentions) = (AtomicUsize::new(0), agent.mentions());
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            mentions.in_parallel(1, |question| {
                if question.content.contains("payload") {
                    std::panic::panic_any(BadDrop);
                }
                handled.fetch_add(1, Ordering::SeqCst);
                if question.content.contains("error") { Err(BadDrop) } else { Ok(()) }
            })
        });
        for text in ["a payload", "an error", "the last"] {
            sandbox.alice_says(&format!("@larry {text}"));
        }
        eventually("the other questions are handled", || handled.load(Ordering::SeqCst) == 2);
        agent.close().unwrap();
        working.join().unwrap().unwrap();
    });
}
