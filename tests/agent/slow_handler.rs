//! Slow handlers, and several of them at the same time.

use std::collections::HashSet;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

use crate::common::{SOON, ScriptedServer, TestSandbox, scripted, wait_for_message, watchdog};
use crustocean::{Agent, Event};
use crustocean_sandbox::Sandbox;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_blocking_handler_keeps_the_connection() {
    let _watchdog = watchdog(LIMIT);
    // Two seconds after a ping without a pong, the server closes the connection.
    let sandbox =
        Sandbox::builder().ping_interval(Duration::from_millis(300)).ping_timeout(Duration::from_secs(2));
    let sandbox = TestSandbox::with(sandbox);
    let agent = sandbox.in_lobby("larry");
    let events = agent.events();
    sandbox.alice_says("think about it");
    wait_for_message(&events, "think");
    // The handler takes several times the server's time limit. The test needs this time.
    std::thread::sleep(Duration::from_secs(8));
    sandbox.alice_says("and?");
    agent.send("I have thought").unwrap();
    wait_for_message(&events, "and?");
    wait_for_message(&events, "I have thought");
    let mut later = std::iter::from_fn(|| events.try_recv().ok());
    assert!(later.all(|event| !matches!(event, Event::Disconnected { .. })));
    assert_eq!(sandbox.handshakes().len(), 1, "one connection all the while");
}

#[test]
fn a_waiting_thread_reads_on_after_another_thread_read_a_heartbeat() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.expect_event("waiting");
        // By now this thread waits, and another one reads.
        conn.recv(Duration::from_millis(200));
        for _ in 0..3 {
            conn.heartbeat();
        }
        conn.send_event("done", json!(1));
        conn.recv(SOON);
    });
    let agent = scripted(&server);
    let events = agent.events();
    while events.try_recv().is_ok() {}
    // The handler is slow, so another thread reads.
    std::thread::sleep(Duration::from_millis(300));
    agent.raw().emit("waiting", &1).unwrap();
    assert!(matches!(events.recv_timeout(SOON), Ok(Event::Other(raw)) if raw.name() == "done"));
}

#[test]
fn an_agent_that_only_sends_answers_heartbeats() {
    let _watchdog = watchdog(LIMIT);
    let (finished, done) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        // The other agent has no loop.
        for _ in 0..5 {
            conn.heartbeat();
        }
        finished.send(()).unwrap();
        conn.recv(Duration::from_secs(20));
    });
    let agent = scripted(&server);
    done.recv_timeout(SOON).unwrap();
    assert!(agent.is_connected());
}

#[test]
fn events_wait_in_order_while_the_handler_works() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let events = agent.events();
    for n in 0..300 {
        sandbox.alice_says(&format!("number {n}"));
    }
    let mut expected = 0;
    while expected < 300 {
        match events.recv_timeout(SOON).unwrap() {
            Event::Message(message) => {
                assert_eq!(message.content, format!("number {expected}"));
                expected += 1;
                if expected % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            Event::Lagged { .. } => panic!("nothing has to be dropped"),
            _ => {}
        }
    }
}

#[test]
fn every_event_goes_to_exactly_one_of_several_threads() {
    let _watchdog = watchdog(LIMIT);
    const MESSAGES: usize = 400;
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (events, seen) = (agent.events(), Arc::clone(&seen));
            std::thread::spawn(move || {
                let mut mine = 0;
                for event in events {
                    if let Event::Message(message) = event.unwrap() {
                        seen.lock().unwrap().push(message.content);
                        mine += 1;
                    }
                }
                mine
            })
        })
        .collect();
    for n in 0..MESSAGES {
        sandbox.alice_says(&format!("number {n}"));
    }
    crate::common::eventually("all are handled", || seen.lock().unwrap().len() >= MESSAGES);
    agent.close().unwrap();
    let shares: Vec<usize> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    let seen = seen.lock().unwrap();
    assert_eq!(shares.iter().sum::<usize>(), MESSAGES);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), MESSAGES, "no event twice");
}

#[test]
fn slow_handlers_in_several_threads_work_side_by_side() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    // Both handlers must run at the same time to pass the barrier.
    let together = Arc::new(Barrier::new(2));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (events, together) = (agent.events(), Arc::clone(&together));
            std::thread::spawn(move || {
                wait_for_message(&events, "work");
                together.wait();
            })
        })
        .collect();
    sandbox.alice_says("work one");
    sandbox.alice_says("work two");
    for worker in workers {
        worker.join().unwrap();
    }
}

#[test]
fn threads_send_while_another_waits_for_events() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let events = agent.events();
    let waiting = std::thread::spawn(move || {
        for n in 0..100 {
            wait_for_message(&events, &format!("number {n}."));
        }
    });
    for n in 0..100 {
        agent.send(format!("number {n}.")).unwrap();
    }
    waiting.join().unwrap();
}

#[test]
fn a_loop_that_is_too_slow_learns_how_much_it_missed() {
    let _watchdog = watchdog(LIMIT);
    let (finished, done) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        for n in 0..500 {
            conn.send_event("tick", json!(n));
        }
        conn.send_event("last", json!(null));
        // The first pong is sent while the events before it are decoded, the second when all are in the queue.
        conn.heartbeat();
        conn.heartbeat();
        finished.send(()).unwrap();
        conn.recv(Duration::from_secs(20));
    });
    let agent = Agent::builder()
        .api_url(server.url())
        .queue(100, usize::MAX)
        .connect("sk_x".parse().unwrap())
        .unwrap();
    // No event is taken until the server has sent all.
    done.recv_timeout(SOON).unwrap();
    let (mut ticks, mut missed, mut marks) = (Vec::new(), 0, 0);
    for event in agent.events() {
        match event.unwrap() {
            Event::Other(raw) if raw.name() == "tick" => ticks.push(raw.first::<u64>().unwrap()),
            Event::Other(raw) if raw.name() == "last" => break,
            Event::Lagged { missed: more, .. } => {
                missed += more;
                marks += 1;
            }
            _ => {}
        }
    }
    assert_eq!((marks, missed as usize + ticks.len()), (1, 500), "nothing is lost silently");
    assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
}
