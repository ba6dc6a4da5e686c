//! An agent and a server that wishes it ill.

use std::time::{Duration, Instant};

use crustocean::agent::{DisconnectReason, RecvError};
use crustocean::{Agent, Error, Event, Events};
use serde_json::json;

use super::{Conn, SOON, ScriptedServer, scripted, wait_for};

/// How a connection ended, as the agent tells it.
#[derive(Debug)]
pub struct Loss {
    pub reason: DisconnectReason,
    pub detail: String,
    /// Events before it, lifecycle events apart.
    pub before: Vec<Event>,
}

/// The server does something evil on the first connection, after the handshake. The agent has to drop it, come back
/// by itself, and be well.
pub fn lost_after(attack: impl Fn(&mut Conn) + Send + Sync + 'static) -> Loss {
    lost_within(SOON, Duration::from_secs(25), attack)
}

/// The same, with `limit` for noticing it and pingInterval and pingTimeout together as the server's `silence`.
pub fn lost_within(
    limit: Duration,
    silence: Duration,
    attack: impl Fn(&mut Conn) + Send + Sync + 'static,
) -> Loss {
    let server = ScriptedServer::start(move |conn| {
        conn.open(silence / 2, silence / 2);
        conn.accept_connect();
        if conn.index == 0 {
            attack(conn);
            linger(conn, limit);
        } else {
            conn.send_event("alive", json!(conn.index));
            conn.expect_event("yes");
            linger(conn, SOON);
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
    is_well(&agent, &events);
    agent.close().unwrap();
    Loss { reason, detail, before }
}

/// Reads until the client is gone, whatever it sends.
pub fn linger(conn: &mut Conn, limit: Duration) {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline && conn.recv(Duration::from_millis(200)) != super::Received::Gone {}
}

/// The agent hears and is heard.
fn is_well(agent: &Agent, events: &Events) {
    wait_for(events, "a sign of life", |event| match event {
        Event::Other(raw) if raw.name() == "alive" => Some(()),
        _ => None,
    });
    agent.raw().emit("yes", &1).unwrap();
}

/// The server does something on the first connection that the agent has to bear. Returns the events it made of it.
pub fn survives(attack: impl Fn(&mut Conn) + Send + Sync + 'static) -> Vec<Event> {
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        assert_eq!(conn.index, 0, "the agent gave the connection up");
        attack(conn);
        conn.send_text("2");
        while conn.next_text("a pong") != "3" {}
        conn.send_event("alive", json!(0));
        conn.expect_event("yes");
        linger(conn, SOON);
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

/// A handshake that goes wrong: what the first connect says, and what a later one says before it is tried again.
pub fn refused(attack: impl Fn(&mut Conn) + Send + Sync + 'static) -> (Error, String) {
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
            linger(conn, SOON);
        }
    });
    let connect = || {
        let builder = Agent::builder().api_url(server.url()).handshake_timeout(Duration::from_millis(1500));
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
    is_well(&agent, &events);
    agent.close().unwrap();
    (error, reason)
}

/// Checks all cases at once: most of their time is waiting.
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

/// What this process has used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub cpu: Duration,
    pub resident_kib: u64,
}

impl Usage {
    /// `None` where there is no `/proc`.
    pub fn now() -> Option<Usage> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // Fields 14 and 15, counted from 1; the name in field 2 may hold spaces.
        let fields: Vec<u64> =
            stat.rsplit_once(") ")?.1.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        let ticks = fields.get(11)? + fields.get(12)?;
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident_kib = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
        // The unit is 10 ms wherever Linux runs today.
        Some(Usage { cpu: Duration::from_millis(ticks * 10), resident_kib })
    }
}
