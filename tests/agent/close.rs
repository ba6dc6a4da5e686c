//! What `close` reports is true: everything arrived, or it reports what may not have arrived.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::common::{SOON, ScriptedServer, eventually, scripted, watchdog};
use crustocean::{Agent, Error, ErrorKind, Event, Message, MessageId, Room};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

/// A server that stops reading for `pause` after the first texts, then reads to the end and reports how many it got.
fn slow(pause: Duration, first: usize) -> (ScriptedServer, mpsc::Receiver<usize>) {
    let (count, counted) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        let mut texts = (0..first).filter(|_| conn.recv_text(SOON).is_some()).count();
        std::thread::sleep(pause);
        while let Some(text) = conn.recv_text(SOON) {
            texts += usize::from(text != "41");
        }
        let _ = count.send(texts);
    });
    (server, counted)
}

#[test]
fn close_waits_until_the_server_has_read_everything() {
    let _watchdog = watchdog(LIMIT);
    for messages in [300, 1500] {
        let (server, counted) = slow(Duration::from_secs(3), 100);
        let agent = scripted(&server);
        let text = "x".repeat(2000);
        (0..messages).for_each(|_| agent.raw().emit("note", &text).unwrap());
        agent.close().unwrap();
        assert_eq!(counted.recv_timeout(SOON).unwrap(), messages);
    }
}

/// A server that reads nothing after the handshake until the returned sender is dropped.
fn silent() -> (ScriptedServer, mpsc::Sender<()>) {
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(30));
    });
    (server, hold)
}

fn impatient(server: &ScriptedServer, limit: Duration) -> Agent {
    Agent::builder().api_url(server.url()).close_timeout(limit).connect("sk_x".parse().unwrap()).unwrap()
}

#[test]
fn close_reports_how_much_may_not_have_arrived() {
    let _watchdog = watchdog(LIMIT);
    let (server, _hold) = silent();
    let agent = impatient(&server, Duration::from_millis(700));
    (0..7).for_each(|n| agent.raw().emit("note", &n).unwrap());
    let started = Instant::now();
    let error = agent.close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MaybeSent, "{error}");
    assert!(error.to_string().contains("last 7 events"), "{error}");
    assert!(started.elapsed() >= Duration::from_millis(700) && started.elapsed() < Duration::from_secs(10));
}

#[test]
fn answered_messages_count_as_arrived() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        // Answers the first question, then stops reading.
        let question = conn.recv_text(SOON).unwrap();
        let id: String = question.chars().skip(2).take_while(char::is_ascii_digit).collect();
        conn.send_text(format!("43{id}[]"));
        std::thread::sleep(Duration::from_secs(4));
    });
    let agent = impatient(&server, Duration::from_millis(500));
    agent.raw().call("question", &1, SOON).unwrap();
    (0..3).for_each(|n| agent.raw().emit("note", &n).unwrap());
    let error = agent.close().unwrap_err();
    assert!(error.to_string().contains("last 3 events"), "{error}");

    let agent = impatient(&server, Duration::from_millis(500));
    agent.raw().call("question", &1, SOON).unwrap();
    agent.close().unwrap();
}

#[test]
fn a_ping_of_the_server_shows_that_the_last_pong_arrived() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        let mut notes = 0;
        while notes < 5 {
            notes += usize::from(conn.recv_text(SOON).is_some_and(|text| text.starts_with("42")));
        }
        for _ in 0..2 {
            conn.send_text("2");
            while conn.recv_text(SOON).is_some_and(|text| text != "3") {}
        }
        conn.send_event("pinged", json!({}));
        std::thread::sleep(Duration::from_secs(3));
    });
    let agent = impatient(&server, Duration::from_millis(300));
    let mut events = agent.events();
    (0..5).for_each(|n| agent.raw().emit("note", &n).unwrap());
    events.find(|event| matches!(event, Ok(Event::Other(raw)) if raw.name() == "pinged")).unwrap().unwrap();
    drop(events);
    agent.raw().emit("note", &6).unwrap();
    let error = agent.close().unwrap_err();
    assert!(error.to_string().contains("the last event"), "{error}");
}

#[test]
fn a_connection_that_ends_without_an_answer_confirms_nothing() {
    let _watchdog = watchdog(LIMIT);
    let (sent, all_sent) = mpsc::channel::<()>();
    let all_sent = Mutex::new(all_sent);
    let server = ScriptedServer::start(move |conn| {
        if conn.index == 0 {
            conn.handshake();
            // Closes with everything unread.
            let _ = all_sent.lock().unwrap().recv_timeout(SOON);
        }
    });
    let agent = scripted(&server);
    (0..5).for_each(|n| agent.raw().emit("note", &n).unwrap());
    drop(sent);
    let error = agent.close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MaybeSent, "{error}");
    assert!(error.to_string().contains("last 5 events"), "{error}");
}

#[test]
fn calls_interrupted_by_close_return_an_error() {
    let _watchdog = watchdog(LIMIT);
    type Call = fn(&Agent, &Room) -> Error;
    let calls: [(&str, Call); 5] = [
        ("call", |agent, _| agent.raw().call("question", &1, SOON).unwrap_err()),
        ("post", |_, room| room.post("hello").unwrap_err()),
        ("edit", |_, room| room.post_edit(&MessageId::from("m-1"), "hello").unwrap_err()),
        ("command", |_, room| room.command("/help").send().unwrap_err()),
        ("send", |agent, _| {
            loop {
                if let Err(error) = agent.raw().emit("note", &"x".repeat(100_000)) {
                    return error;
                }
            }
        }),
    ];
    for (name, call) in calls {
        let (hold, held) = mpsc::channel::<()>();
        let (tell, has_called) = mpsc::channel();
        let held = Mutex::new(held);
        let server = ScriptedServer::start(move |conn| {
            conn.handshake();
            conn.accept_join();
            // Reads the call, and nothing after it.
            let _ = tell.send(conn.recv_text(SOON));
            let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(30));
        });
        let agent = impatient(&server, Duration::from_millis(300));
        let room = agent.join("lobby").unwrap();
        let caller = agent.clone();
        let calling = std::thread::spawn(move || call(&caller, &room));
        assert!(has_called.recv_timeout(SOON).unwrap().is_some(), "{name}");
        assert_eq!(agent.close().unwrap_err().kind(), ErrorKind::MaybeSent, "{name}");
        let error = calling.join().unwrap();
        assert!(error.is_closed(), "{name}: {error:?}");
        // The error may be another one for `send`: one of the many sends may have started after the close.
        assert!(error.may_have_been_sent() || name == "send", "{name}: {error:?}");
        assert!(
            error.to_string().contains("this program has closed or stopped the agent"),
            "{name}: {error}"
        );
        drop(hold);
    }
}

#[test]
fn close_reports_what_a_lost_connection_may_have_lost() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        if conn.index == 0 {
            conn.handshake();
            conn.accept_join();
            // Reads all of them, confirms none, and closes.
            (0..5).for_each(|_| drop(conn.recv_text(SOON)));
        } else if conn.index < 3 {
            // The connection ends before the agent is in its room again.
            conn.handshake();
            conn.recv_text(SOON);
        } else {
            conn.recv(SOON);
        }
    });
    let agent = scripted(&server);
    agent.join("lobby").unwrap();
    (0..5).for_each(|n| agent.raw().emit("note", &n).unwrap());
    eventually("several losses", || {
        agent.reconnect_now();
        server.connections().len() > 3 && !agent.is_connected()
    });
    let error = agent.close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MaybeSent, "{error}");
    assert!(error.to_string().contains("last 5 events"), "{error}");
}

/// The crate sends the joins that restore the rooms. `close` does not count them as messages of the program.
#[test]
fn close_counts_no_joins_while_the_rooms_are_restored() {
    let _watchdog = watchdog(LIMIT);
    let (joining, is_joining) = mpsc::channel();
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        if conn.index == 0 {
            conn.accept_join();
        } else {
            // The server reads the join and answers nothing from now on.
            conn.recv_text(SOON);
            let _ = joining.send(());
            let _ = held.lock().unwrap().recv_timeout(SOON);
        }
    });
    let agent = impatient(&server, Duration::from_millis(700));
    agent.join("lobby").unwrap();
    is_joining.recv_timeout(SOON).unwrap();
    agent.close().unwrap();
    drop(hold);
}

/// Open runs and indicators send their end, to a server that does not read.
#[test]
fn close_keeps_its_limit_when_runs_and_indicators_are_open() {
    let _watchdog = watchdog(LIMIT);
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        conn.accept_join();
        let _ = held.lock().unwrap().recv_timeout(SOON);
    });
    let agent = impatient(&server, Duration::from_millis(300));
    let room = agent.join("lobby").unwrap();
    let (run, thinking) = (room.start_run(None::<&Message>).unwrap(), room.thinking("thinking"));
    let (sent, sending) = (Arc::new(AtomicUsize::new(0)), agent.clone());
    let counted = Arc::clone(&sent);
    let writing = std::thread::spawn(move || {
        let text = "x".repeat(200_000);
        while sending.raw().emit("note", &text).is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut before = 0;
    eventually("a write waits", || {
        std::thread::sleep(Duration::from_millis(200));
        let now = sent.load(Ordering::SeqCst);
        std::mem::replace(&mut before, now) == now && now > 5
    });
    let started = Instant::now();
    let error = agent.close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MaybeSent, "{error}");
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
    writing.join().unwrap();
    drop((run, thinking, hold));
}

#[test]
fn calls_that_had_not_started_are_closed_and_not_sent() {
    let _watchdog = watchdog(LIMIT);
    let (server, hold) = silent();
    let agent = scripted(&server);
    let other = agent.clone();
    drop(hold);
    agent.close().unwrap();
    let error = other.raw().emit("note", &1).unwrap_err();
    assert!(error.is_closed() && !error.may_have_been_sent(), "{error:?}");
    assert!(error.to_string().contains("this program has closed or stopped the agent"), "{error}");
}

#[test]
fn a_second_connection_loss_counts_its_attempts_from_one() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        if conn.index == 2 {
            conn.recv(SOON);
        }
    });
    let agent = scripted(&server);
    let attempts = agent.events().filter_map(|event| match event {
        Ok(Event::Connected { attempt, .. }) => Some(attempt),
        _ => None,
    });
    assert_eq!(attempts.take(3).collect::<Vec<_>>(), [0, 1, 1]);
    drop(server);
}
