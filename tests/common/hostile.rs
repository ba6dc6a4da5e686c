//! An agent, and a hostile server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crustocean::agent::{DisconnectReason, RawEvent, RecvError};
use crustocean::{Agent, Error, Event, Events};
use serde_json::json;

use super::{Conn, SOON, ScriptedServer, scripted, wait_for};

/// How a connection ended, as the agent reports it.
#[derive(Debug)]
pub struct Loss {
    pub reason: DisconnectReason,
    pub detail: String,
    /// The events before it, without lifecycle events.
    pub before: Vec<Event>,
}

/// The server attacks on the first connection, after the handshake. The agent must close the connection, reconnect, and work.
pub fn lost_after(attack: impl Fn(&mut Conn) + Send + Sync + 'static) -> Loss {
    lost_within(SOON, Duration::from_secs(25), attack)
}

/// Does the same with time limits. `limit` is the time in which the agent must notice the attack. `silence` is the
/// server's pingInterval plus pingTimeout.
pub fn lost_within(
    limit: Duration,
    silence: Duration,
    attack: impl Fn(&mut Conn) + Send + Sync + 'static,
) -> Loss {
    // `index` may begin with 1, because an agent that gets to its first connection too late opens another one.
    let connected = AtomicUsize::new(0);
    let server = ScriptedServer::start(move |conn| {
        conn.open(silence / 2, silence / 2);
        conn.accept_connect();
        if connected.fetch_add(1, Ordering::SeqCst) == 0 {
            attack(conn);
            read_until_closed(conn, limit);
        } else {
            conn.send_event("alive", json!(conn.index));
            conn.expect_event("yes");
            read_until_closed(conn, SOON);
        }
    });
    let agent = scripted(&server);
    let events = agent.events();
    let mut before = Vec::new();
    let deadline = Instant::now() + limit;
    let (reason, detail) = loop {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::Disconnected { reason, detail, .. }) => break (reason, detail),
            Ok(Event::Connected { .. }) => {}
            Ok(event) => before.push(event),
            Err(RecvError::Timeout) => panic!("the link is not given up within {limit:?}"),
            Err(error) => panic!("the agent has ended: {error}"),
        }
    };
    check_works(&agent, &events);
    agent.close().unwrap();
    Loss { reason, detail, before }
}

/// Reads until the client has closed the connection.
pub fn read_until_closed(conn: &mut Conn, limit: Duration) {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline && conn.recv(Duration::from_millis(200)) != super::Received::Gone {}
}

/// Checks that messages arrive in both directions.
fn check_works(agent: &Agent, events: &Events) {
    wait_for(events, "a sign of life", |event| match event {
        Event::Other(raw) if raw.name() == "alive" => Some(()),
        _ => None,
    });
    agent.raw().emit("yes", &1).unwrap();
}

/// The server does something on the first connection that the agent must survive. Returns the resulting events.
pub fn survives(attack: impl Fn(&mut Conn) + Send + Sync + 'static) -> Vec<Event> {
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        assert_eq!(conn.index, 0, "the agent gave the connection up");
        attack(conn);
        conn.send_text("2");
        while conn.next_text("a pong") != "3" {}
        conn.send_event("alive", json!(0));
        conn.expect_event("yes");
        read_until_closed(conn, SOON);
    });
    let agent = scripted(&server);
    let events = agent.events();
    let mut seen = Vec::new();
    loop {
        match events.recv_timeout(SOON).unwrap() {
            Event::Other(raw) if raw.name() == "alive" => break,
            Event::Connected { .. } => {}
            Event::Disconnected { reason, detail, .. } => panic!("{reason}: {detail}"),
            event => seen.push(event),
        }
    }
    agent.raw().emit("yes", &1).unwrap();
    agent.close().unwrap();
    server.finish(SOON);
    seen
}

/// A failing handshake. Returns the error of the first connect, and the reason of a later failed attempt.
pub fn refused(attack: impl Fn(&mut Conn) + Send + Sync + 'static) -> (Error, String) {
    // The limit is longer than the attack takes on a busy machine.
    refused_within(Duration::from_secs(20), attack)
}

/// Like [`refused`], with a time limit for the handshake.
pub fn refused_within(
    limit: Duration,
    attack: impl Fn(&mut Conn) + Send + Sync + 'static,
) -> (Error, String) {
    let server = ScriptedServer::start_before_upgrade(move |conn| match conn.index {
        0 | 2 => attack(conn),
        1 => {
            conn.accept();
            conn.handshake();
        }
        _ => {
            conn.accept();
            conn.handshake();
            conn.send_event("alive", json!(0));
            conn.expect_event("yes");
            read_until_closed(conn, SOON);
        }
    });
    let connect = || {
        let builder = Agent::builder().api_url(server.url()).handshake_timeout(limit);
        builder.connect("sk_x".parse().unwrap())
    };
    let started = Instant::now();
    let error = connect().expect_err("the handshake cannot succeed");
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
    let agent = connect().expect("the second handshake is a good one");
    let events = agent.events();
    let reason = wait_for(&events, "a failed try", |event| match event {
        Event::ConnectFailed { error, .. } => Some(error.to_string()),
        _ => None,
    });
    check_works(&agent, &events);
    agent.close().unwrap();
    (error, reason)
}

/// Checks all cases at the same time, because most of their time is waiting.
pub fn each<C: Sync>(cases: &[C], check: impl Fn(&C) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| check(case));
        }
    });
}

/// One unmasked WebSocket frame. `first` is the byte with FIN, RSV and opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(short as u8),
        middle @ 126..65536 => {
            bytes.push(126);
            bytes.extend((middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// The first bytes of a binary frame of this length.
pub fn announce(length: u64) -> Vec<u8> {
    let mut bytes = vec![0x82, 127];
    bytes.extend(length.to_be_bytes());
    bytes
}

/// The memory and processor time of this process.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub cpu: Duration,
    pub resident_kib: u64,
}

impl Usage {
    /// `None` on systems without `/proc`.
    pub fn now() -> Option<Usage> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // Fields 14 and 15, counted from 1. The name in field 2 may contain spaces.
        let fields: Vec<u64> =
            stat.rsplit_once(") ")?.1.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        let ticks = fields.get(11)? + fields.get(12)?;
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident_kib = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
        // The unit is 10 ms on all current Linux systems.
        Some(Usage { cpu: Duration::from_millis(ticks * 10), resident_kib })
    }
}

/// Checks that each of these ends the connection, for this reason, and delivers no event.
pub fn all_lost(reason: &str, texts: &[&'static str]) {
    each(texts, |text| {
        let text = *text;
        let loss = lost_after(move |conn| {
            conn.send_text(text);
        });
        assert_eq!(loss.reason, reason, "{text:?}: {}", loss.detail);
        assert!(loss.before.is_empty(), "{text:?}: {:?}", loss.before);
    });
}

/// Returns the raw event, for which this crate has no type.
pub fn other(event: &Event) -> &RawEvent {
    match event {
        Event::Other(raw) => raw,
        other => panic!("{other:?}"),
    }
}
