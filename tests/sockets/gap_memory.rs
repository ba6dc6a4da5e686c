//! A long gap of large messages is delivered page by page.

use std::time::Duration;

use crate::alone;
use crate::common::{Conn, ScriptedServer, scripted, wait_for_message, watchdog};
use crustocean::Event;
use serde_json::{Value, json};

/// The peak memory of this process in kB, since the counter was reset.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The number of messages. Together they have 45 MB.
const COUNT: usize = 300;
const SIZE: usize = 150_000;

fn message(n: usize) -> Value {
    let content = format!("{n}:{}", "x".repeat(SIZE));
    let time = format!("2026-01-01T{:02}:{:02}:{:02}.000Z", n / 3600, n / 60 % 60, n % 60);
    json!({"id": format!("m{n}"), "agency_id": "ag-1", "content": content, "created_at": time})
}

/// The number of the message with this id, or of the first one that is not older than this time.
fn number(time: &str) -> usize {
    if let Some(number) = time.strip_prefix('m') {
        return number.parse().unwrap();
    }
    let part = |at: usize| time.get(at..at + 2).unwrap().parse::<usize>().unwrap();
    part(11) * 3600 + part(14) * 60 + part(17) + usize::from(!time.ends_with(".000Z"))
}

#[test]
fn a_long_gap_of_large_messages_does_not_fill_the_memory() {
    let (_alone, _watchdog) = (alone(), watchdog(Duration::from_secs(180)));
    let wait = |conn: &mut Conn| drop(conn.recv(Duration::from_secs(150)));
    let server = ScriptedServer::losing_a_connection(vec![message(0)], wait, |request, lost| {
        if !lost {
            return json!([]);
        }
        let query = |name: &str| {
            let value = request.query.split('&').find_map(|part| part.strip_prefix(name));
            value.map(|value| value.replace("%3A", ":"))
        };
        let limit: usize = query("limit=").unwrap().parse().unwrap();
        let end = query("before=").map_or(COUNT, |time| number(&time).min(COUNT));
        (end.saturating_sub(limit)..end).rev().map(message).collect()
    });
    let agent = scripted(&server);
    let room = agent.join("lobby").unwrap();
    let events = agent.events();
    wait_for_message(&events, "0:");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = peak();
    room.send("go on").unwrap();
    let mut next = 0;
    while next < COUNT - 1 {
        match events.recv_timeout(Duration::from_secs(30)).unwrap() {
            Event::Message(message) => {
                next += 1;
                assert!(message.replayed && message.content.starts_with(&format!("{next}:")), "{next}");
            }
            // A busy machine may be too slow for this check. Only the memory matters here.
            Event::GapNotFilled { error, .. } if error.is_timeout() => break,
            Event::GapNotFilled { error, .. } => panic!("behind {next}: {error}"),
            _ => {}
        }
    }
    let grown = peak() - before;
    assert!(grown < 32 << 10, "{grown} kB more for {} MB", (COUNT * SIZE) >> 20);
}
