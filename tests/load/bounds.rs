//! What a server can make an agent keep in memory is limited in bytes, not only in number. Server and agent share the process,
//! so each server sends the same small piece repeatedly.

use std::time::Duration;

use crate::common::hostile::{frame, read_until_closed};
use crate::common::{PollServer, SOON, ScriptedServer, scripted, watchdog};
use crate::load::{LIMIT, alone, measure};
use crustocean::Event;
use serde_json::json;

/// The limit in KiB.
const MUCH: u64 = 64 << 10;

#[test]
fn acks_before_connect_is_answered_are_not_kept() {
    let (_alone, _watchdog) = (alone(), watchdog(LIMIT));
    let (memory, _) = measure(|| {
        let server = ScriptedServer::start(|conn| {
            assert!(conn.recv_connect());
            let ack = frame(0x81, format!("431[\"{}\"]", "x".repeat(2 << 20)).as_bytes());
            for _ in 0..60 {
                conn.send_raw_bytes(&ack);
            }
            conn.send_text(r#"40{"sid":"late"}"#);
            read_until_closed(conn, SOON);
        });
        scripted(&server).close().unwrap();
    });
    assert!(memory < MUCH, "{memory} KiB");
}

#[test]
fn one_body_of_many_packets_is_decoded_step_by_step() {
    let (_alone, _watchdog) = (alone(), watchdog(LIMIT));
    let (memory, _) = measure(|| {
        let server = PollServer::start();
        let agent = scripted(&server.server);
        let mut events = agent.events();
        server.say(&format!("{}42[\"last\",1]", "42[1]\u{1e}".repeat(500_000)));
        let last = |event: Result<Event, _>| matches!(event, Ok(Event::Other(raw)) if raw.name() == "last");
        assert!(events.any(last));
        drop(events);
        drop(agent);
    });
    assert!(memory < MUCH, "{memory} KiB");
}

#[test]
fn a_queued_event_does_not_keep_its_whole_buffer() {
    let (_alone, _watchdog) = (alone(), watchdog(LIMIT));
    let (memory, _) = measure(|| {
        let server = ScriptedServer::start(|conn| {
            conn.handshake();
            let mut piece = frame(0x81, b"42[\"e\",1]");
            // Unexpected acks.
            let ack = frame(0x81, format!("431[\"{}\"]", "x".repeat(8000)).as_bytes());
            (0..8).for_each(|_| piece.extend_from_slice(&ack));
            (0..1900).for_each(|_| assert!(conn.send_raw_bytes(&piece)));
            conn.send_text("2");
            while conn.recv_text(SOON).is_some_and(|text| text != "3") {}
            conn.send_event("last", json!(1));
            read_until_closed(conn, SOON);
        });
        let agent = scripted(&server);
        let events = agent.events();
        // No loop takes events, but the background thread reads on.
        let count = |event| u32::from(matches!(event, Ok(Event::Other(_))));
        std::thread::sleep(Duration::from_secs(4));
        let mut seen = 0;
        for event in events {
            let last = matches!(&event, Ok(Event::Other(raw)) if raw.name() == "last");
            seen += count(event);
            if last {
                break;
            }
        }
        assert_eq!(seen, 1901);
    });
    assert!(memory < MUCH, "{memory} KiB");
}

#[test]
fn a_small_attachment_does_not_keep_a_large_buffer() {
    let (_alone, _watchdog) = (alone(), watchdog(LIMIT));
    let (memory, _) = measure(|| {
        let server = ScriptedServer::start(|conn| {
            conn.handshake();
            let large = frame(0x81, format!("431[\"{}\"]", "x".repeat(8 << 20)).as_bytes());
            for _ in 0..30 {
                conn.send_raw_bytes(&large);
                conn.send_text(r#"451-["b",{"_placeholder":true,"num":0}]"#);
                conn.send_binary(b"x");
            }
            conn.send_event("last", json!(1));
            read_until_closed(conn, SOON);
        });
        let agent = scripted(&server);
        let events = agent.events();
        let mut kept = Vec::new();
        for event in &mut events.into_iter() {
            let last = matches!(&event, Ok(Event::Other(raw)) if raw.name() == "last");
            kept.push(event);
            if last {
                break;
            }
        }
        assert_eq!(kept.len(), 32);
    });
    assert!(memory < MUCH, "{memory} KiB");
}
