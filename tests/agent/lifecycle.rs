//! The end of an agent. It may be closed or dropped at any moment. It then ends in time and leaves nothing behind.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::common::{ScriptedServer, TestSandbox, eventually, scripted, watchdog};
use crustocean::{ErrorKind, Event, agent::RecvError};

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn close_sends_a_disconnect() {
    let _watchdog = watchdog(LIMIT);
    let (seen, said) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        let _ = seen.send((conn.recv(Duration::from_secs(5)), conn.recv(Duration::from_secs(5))));
    });
    let agent = scripted(&server);
    let events = agent.events();
    let started = Instant::now();
    agent.close().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    let (first, second) = said.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(format!("{first:?}"), r#"Text("41")"#);
    assert_eq!(format!("{second:?}"), "Close(Some(1000))");
    // Queued events are still delivered, then the end, every time.
    assert!(matches!(events.try_recv(), Ok(Event::Connected { .. })));
    for _ in 0..3 {
        assert!(matches!(events.try_recv(), Err(RecvError::Closed)));
    }
}

#[test]
fn a_server_that_does_not_close_is_left_after_a_second() {
    let _watchdog = watchdog(LIMIT);
    let (hold, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(20));
    });
    let agent = scripted(&server);
    let started = Instant::now();
    agent.close().unwrap();
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(4), "{took:?}");

    let agent = scripted(&server);
    let started = Instant::now();
    drop(agent);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(10), "dropping is bounded too: {took:?}");
    drop(hold);
}

#[test]
fn closing_ends_every_handle() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let (other, room) = (agent.clone(), agent.rooms().remove(0));
    let waiting = agent.events();
    let loop_thread = std::thread::spawn(move || waiting.filter(|event| event.is_err()).count());
    agent.close().unwrap();
    assert_eq!(loop_thread.join().unwrap(), 0, "the loop ends without an error");
    assert_eq!(other.send("too late").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(room.send("too late").unwrap_err().kind(), ErrorKind::Closed);
    assert!(other.join("lobby").unwrap_err().is_closed() && !other.is_connected());
    other.close().unwrap();
    eventually("the socket is closed", || sandbox.connections() == 0);
}

#[test]
fn dropping_the_last_handle_closes() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let handle = agent.clone();
    drop(agent);
    handle.send("one handle is enough").unwrap();
    let started = Instant::now();
    drop(handle);
    assert!(started.elapsed() < Duration::from_secs(10));
    eventually("the socket is closed", || sandbox.connections() == 0);
    assert!(sandbox.wait_for_event("send-message", Duration::from_secs(5)).is_some());
}

#[test]
fn closing_while_others_send_loses_nothing_that_was_confirmed() {
    let _watchdog = watchdog(3 * LIMIT);
    // Repeated, to hit a sender between its check of the connection and its write.
    (0..20).for_each(|_| close_while_others_send());
}

fn close_while_others_send() {
    let sandbox = TestSandbox::new();
    // On a busy machine the sandbox needs time to process the messages.
    let agent = sandbox.builder().close_timeout(LIMIT).connect(sandbox.agent_token("larry")).unwrap();
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let agent = agent.clone();
            std::thread::spawn(move || {
                let mut sent = 0;
                loop {
                    match agent.send("again") {
                        Ok(()) => sent += 1,
                        Err(error) => return (sent, error.kind()),
                    }
                    // Limits the rate, so that the sandbox can process all messages in time.
                    std::thread::sleep(Duration::from_micros(200));
                }
            })
        })
        .collect();
    eventually("messages flow", || sandbox.events().len() > 50);
    agent.close().unwrap();
    let mut total = 0;
    for sender in senders {
        let (sent, end) = sender.join().unwrap();
        assert_eq!(end, ErrorKind::Closed);
        total += sent;
    }
    let arrived = || sandbox.events().iter().filter(|(name, _)| name == "send-message").count();
    let deadline = Instant::now() + LIMIT;
    while arrived() < total && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(arrived(), total, "all confirmed messages arrive, and no other");
}

#[test]
fn a_busy_server_gets_time_to_read_everything() {
    let _watchdog = watchdog(LIMIT);
    let (counts, counted) = mpsc::channel();
    let (sent, all_sent) = mpsc::channel();
    let all_sent = std::sync::Mutex::new(all_sent);
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        all_sent.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
        // The server sends, but does not read for longer than the closing handshake may take.
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            if !conn.send_event("member-presence", serde_json::json!({})) {
                // Like real servers, it does not read from a client to which it cannot write.
                let _ = counts.send(0);
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut texts = 0;
        while conn.recv_text(Duration::from_secs(5)).is_some() {
            texts += 1;
        }
        let _ = counts.send(texts);
    });
    let agent = scripted(&server);
    for n in 0..100 {
        agent.raw().emit("note", &n).unwrap();
    }
    sent.send(()).unwrap();
    agent.close().unwrap();
    // The packets are the messages and the disconnect.
    assert_eq!(counted.recv_timeout(Duration::from_secs(10)).unwrap(), 101);
}

/// A server that does not answer the second upgrade until the sender is dropped.
fn hanging() -> (ScriptedServer, mpsc::Sender<()>) {
    let (hold, held) = mpsc::channel();
    let held = std::sync::Mutex::new(held);
    let server = ScriptedServer::start_before_upgrade(move |conn| {
        if conn.index == 0 {
            conn.accept();
            conn.handshake();
        } else {
            let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(20));
        }
    });
    (server, hold)
}

#[test]
fn closing_while_connecting() {
    let _watchdog = watchdog(LIMIT);
    let (server, hold) = hanging();
    let agent = scripted(&server);
    let mut events = agent.events();
    assert!(events.any(|event| matches!(event, Ok(Event::Disconnected { .. }))));
    drop(events);
    // A thread waits for the connection, so that it can send. The end of the agent also ends its wait.
    let sender = agent.clone();
    let sending = std::thread::spawn(move || sender.raw().emit("anything", &1).unwrap_err().kind());
    server.wait_connections(2, Duration::from_secs(10));
    let started = Instant::now();
    agent.close().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    drop(hold);
    assert_eq!(sending.join().unwrap(), ErrorKind::Closed);
}

#[test]
fn dropping_while_connecting() {
    let _watchdog = watchdog(LIMIT);
    let (server, hold) = hanging();
    let agent = scripted(&server);
    server.wait_connections(2, Duration::from_secs(10));
    let started = Instant::now();
    drop(agent);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    drop(hold);
}

#[test]
fn a_panic_does_not_hang_in_the_destructor() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let started = Instant::now();
    let outcome = std::thread::spawn(move || {
        let _agent = agent;
        panic!("a bug of the user's");
    })
    .join();
    assert!(outcome.is_err());
    assert!(started.elapsed() < Duration::from_secs(10));
    eventually("the socket is closed", || sandbox.connections() == 0);
}

#[test]
fn try_recv_and_recv_timeout_say_why_there_is_nothing() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.connect("larry");
    let events = agent.events();
    assert!(matches!(events.try_recv(), Ok(Event::Connected { .. })));
    assert!(matches!(events.try_recv(), Err(RecvError::Empty)));
    let started = Instant::now();
    assert!(matches!(events.recv_timeout(Duration::from_millis(100)), Err(RecvError::Timeout)));
    assert!(started.elapsed() >= Duration::from_millis(100));
}
