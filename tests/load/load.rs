//! The time and memory of floods. Rows B1 to B6, B37, B45; T209 and T213. One test at a time, so that the numbers are
//! meaningful. Only the tests that wait for a long time and need little memory run at the same time: all together, they
//! must stay below the memory limit of one test. Server and agent share the process, so the numbers include the server.

use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc};
use std::time::{Duration, Instant};

use crate::common::hostile::{Usage, announce, frame, lost_after, lost_within, read_until_closed};
use crate::common::{SOON, ScriptedServer, scripted, wait_for, watchdog};
use crustocean::{Agent, Event};
use serde_json::json;

pub(crate) const LIMIT: Duration = Duration::from_secs(180);
const PATIENT: Duration = Duration::from_secs(20);
/// The memory limit in KiB. Even under attack, the usual value is lower.
const MUCH: u64 = 64 << 10;

static MEASURED: RwLock<()> = RwLock::new(());

/// A test holds this while it measures.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MEASURED.write().unwrap_or_else(PoisonError::into_inner)
}

/// Like [`alone`], for tests that may run at the same time.
fn together() -> RwLockReadGuard<'static, ()> {
    MEASURED.read().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work`. Returns the peak of additional resident memory, and the processor time.
pub(crate) fn measure(work: impl FnOnce()) -> (u64, Duration) {
    let before = Usage::now();
    let (stop, stopped) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let mut height = 0;
        while stopped.recv_timeout(Duration::from_millis(10)) == Err(mpsc::RecvTimeoutError::Timeout) {
            height = height.max(Usage::now().map_or(0, |usage| usage.resident_kib));
        }
        height
    });
    work();
    drop(stop);
    let height = watch.join().unwrap();
    match (before, Usage::now()) {
        (Some(before), Some(after)) => (height.saturating_sub(before.resident_kib), after.cpu - before.cpu),
        _ => (0, Duration::ZERO),
    }
}

#[test]
fn b01_an_announced_length_costs_no_memory() {
    let (_together, _watchdog) = (together(), watchdog(LIMIT));
    let (memory, _) = measure(|| {
        // The largest allowed message, of which only single bytes arrive.
        let loss = lost_within(SOON, Duration::from_secs(2), |conn| {
            conn.send_raw_bytes(&announce(16 << 20));
            conn.send_raw_bytes(&[0; 500]);
        });
        assert_eq!(loss.reason, "ping timeout", "{}", loss.detail);
    });
    assert!(memory < MUCH, "{memory} KiB");
}

#[test]
fn b03_endless_empty_continuation_frames() {
    let (_alone, _watchdog) = (alone(), watchdog(LIMIT));
    let (memory, cpu) = measure(|| {
        let loss = lost_within(SOON, Duration::from_secs(2), |conn| {
            let empty = frame(0x00, b"").repeat(32 << 10);
            conn.send_raw_bytes(&frame(0x01, b"4"));
            // Slowly enough for the rest of the test to run.
            while conn.send_raw_bytes(&empty) {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        // Empty frames carry no part of a message, so they count as silence.
        assert_eq!(loss.reason, "ping timeout", "{}", loss.detail);
    });
    assert!(memory < MUCH, "{memory} KiB");
    assert!(cpu < Duration::from_secs(20), "{cpu:?}");
}

#[test]
fn b04_websocket_pings_of_a_peer_that_does_not_read() {
    let (_together, _watchdog) = (together(), watchdog(LIMIT));
    let started = Instant::now();
    let (memory, _) = measure(|| {
        let loss = lost_within(PATIENT, Duration::from_secs(45), |conn| {
            let pings = frame(0x89, &[7; 125]).repeat(500);
            while conn.send_raw_bytes(&pings) {}
        });
        assert_eq!(loss.reason, "transport error", "{}", loss.detail);
    });
    assert!(memory < MUCH, "{memory} KiB");
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
}

#[test]
fn b05_a_flood_of_engine_pings() {
    let (_together, _watchdog) = (together(), watchdog(LIMIT));
    let (pongs, counted) = mpsc::channel();
    let (memory, _) = measure(|| {
        let loss = lost_within(PATIENT, Duration::from_secs(45), move |conn| {
            // 20,000 per second, for longer than the limit.
            let pings = frame(0x81, b"2").repeat(1000);
            let mut writer = conn.stream().try_clone().unwrap();
            let flood = std::thread::spawn(move || {
                use std::io::Write;
                let mut sent = 0;
                while writer.write_all(&pings).is_ok() {
                    sent += 1000;
                    std::thread::sleep(Duration::from_millis(50));
                }
                sent
            });
            let mut answers = 0;
            while let Some(text) = conn.recv_text(SOON) {
                assert_eq!(text, "3");
                answers += 1;
            }
            pongs.send((flood.join().unwrap(), answers)).unwrap();
        });
        assert_eq!(loss.reason, "transport error", "{}", loss.detail);
        assert!(loss.detail.contains("too many control frames"), "{}", loss.detail);
    });
    let (pings, answers) = counted.recv_timeout(SOON).unwrap();
    assert!(answers > 0 && answers < pings / 5, "{answers} pongs for {pings} pings");
    assert!(memory < MUCH, "{memory} KiB");
}

#[test]
fn b05_many_pings_for_a_moment_are_no_flood() {
    let (_alone, _watchdog) = (alone(), watchdog(LIMIT));
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.send_raw_bytes(&frame(0x81, b"2").repeat(20_000));
        conn.send_event("done", json!(1));
        conn.expect_event("yes");
        assert_eq!(conn.index, 0);
        read_until_closed(conn, SOON);
    });
    let agent = scripted(&server);
    wait_for(&agent.events(), "done", |event| matches!(event, Event::Other(_)).then_some(()));
    agent.raw().emit("yes", &1).unwrap();
    agent.close().unwrap();
    server.finish(SOON);
}

#[test]
fn b06_a_flood_of_messages_nobody_takes() {
    let (_together, _watchdog) = (together(), watchdog(LIMIT));
    const EVENTS: u64 = 8_000;
    let (memory, _) = measure(|| {
        let (sender, receiver) = mpsc::channel();
        let server = ScriptedServer::start(move |conn| {
            conn.handshake();
            let text = "x".repeat(500);
            for n in 0..EVENTS {
                conn.send_event("flood", json!([n, text]));
            }
            conn.send_event("end", json!(0));
            // After all that, the heartbeat is still answered.
            conn.heartbeat();
            sender.send(()).unwrap();
            read_until_closed(conn, SOON);
        });
        let agent = Agent::builder()
            .api_url(server.url())
            .queue(1024, 1 << 20)
            .connect("sk_x".parse().unwrap())
            .unwrap();
        receiver.recv_timeout(Duration::from_secs(60)).unwrap();
        let (mut taken, mut missed, mut marks) = (0, 0, 0);
        for event in agent.events() {
            match event.unwrap() {
                Event::Other(raw) if raw.name() == "end" => break,
                Event::Other(_) => taken += 1,
                Event::Lagged { missed: more, .. } => {
                    missed += more;
                    marks += 1;
                }
                _ => {}
            }
        }
        assert_eq!((taken + missed, marks), (EVENTS, 1), "nothing is lost silently");
        agent.close().unwrap();
    });
    assert!(memory < MUCH, "{memory} KiB");
}

#[test]
fn b37_b45_packets_that_want_to_become_large() {
    let (_alone, _watchdog) = (alone(), watchdog(LIMIT));
    // The server sends two events of 8 MiB, which would be ten times as large as a parsed tree. It also sends a header
    // that announces a huge number of attachments.
    let (memory, _) = measure(|| {
        let loss = lost_after(|conn| {
            conn.send_text(format!("451-[\"x\"{}]", ",[]".repeat(2 << 20)));
            conn.send_binary(b"x");
            conn.send_text(format!("42[\"x\"{}]", ",1".repeat(4 << 20)));
            conn.send_text("4599999999999999999999-[\"x\"]");
        });
        assert_eq!(loss.reason, "parse error", "{}", loss.detail);
        assert_eq!(loss.before.len(), 2);
    });
    // Both packets are in buffers of the server, the agent and the system at the same time.
    assert!(memory < 3 * MUCH, "{memory} KiB");
}

#[test]
fn t209_an_idle_agent_is_idle() {
    let (_alone, _watchdog) = (alone(), watchdog(LIMIT));
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        read_until_closed(conn, Duration::from_secs(30));
    });
    let agent = scripted(&server);
    let waiting = agent.events();
    let consumer = std::thread::spawn(move || waiting.count());
    let (_, cpu) = measure(|| std::thread::sleep(Duration::from_secs(3)));
    // The measuring thread itself wakes a hundred times per second. One percent would be 30 ms.
    assert!(cpu < Duration::from_millis(300), "{cpu:?}");
    agent.close().unwrap();
    consumer.join().unwrap();
}

#[test]
fn t213_a_peer_that_sends_and_never_reads() {
    let (_alone, _watchdog) = (alone(), watchdog(LIMIT));
    let (done, finished) = mpsc::channel::<()>();
    let finished = Mutex::new(finished);
    let server = ScriptedServer::start(move |conn| {
        conn.open(Duration::from_secs(25), Duration::from_secs(1));
        conn.accept_connect();
        if conn.index == 0 {
            while conn.send_event("noise", json!("x".repeat(1000))) {}
        }
        let _ = finished.lock().unwrap().recv_timeout(PATIENT);
    });
    let agent = scripted(&server);
    let events = agent.events();
    // The server sends until the system's buffers are full. Then a send fails within the write timeout, which is the
    // server's pingTimeout.
    let sender = {
        let agent = agent.clone();
        std::thread::spawn(move || {
            let text = "y".repeat(100_000);
            loop {
                let started = Instant::now();
                if let Err(error) = agent.raw().emit("y", &text) {
                    return (error, started.elapsed());
                }
            }
        })
    };
    let reason = wait_for(&events, "the loss", |event| match event {
        Event::Disconnected { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason, "transport error");
    let (error, took) = sender.join().unwrap();
    assert_eq!(error.kind(), crustocean::ErrorKind::MaybeSent, "{error}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    drop(done);
    // The server took some of the texts, and nobody knows how many. The next connection may be up already.
    let _ = agent.close();
}
