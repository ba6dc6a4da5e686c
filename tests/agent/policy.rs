//! Reconnect policies: how long an agent retries, when it stops, and `reconnect` during a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Conn, Response, SOON, ScriptedServer, wait_for, watchdog};
use crustocean::{
    Agent, Error, ErrorKind, Event, Events,
    agent::{AgentBuilder, DisconnectPolicy, Reconnect, Transport},
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);
const BUSY: &[u8] = b"HTTP/1.1 503 Busy\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n";
const LATER: Duration = Duration::from_secs(60);

/// Accepts the agent, and keeps the connection until the test ends.
fn keep(conn: &mut Conn) {
    conn.accept();
    conn.handshake();
    conn.recv(LIMIT);
}

fn builder(server: &ScriptedServer) -> AgentBuilder {
    Agent::builder().api_url(server.url()).transport(Transport::WebSocket)
}

fn connect(builder: AgentBuilder) -> (Agent, Events) {
    let agent = builder.connect("sk_x".parse().unwrap()).unwrap();
    let events = agent.events();
    assert_eq!(next_connect(&events), 0);
    (agent, events)
}

fn next_connect(events: &Events) -> u32 {
    wait_for(events, "Connected", |event| match event {
        Event::Connected { attempt, .. } => Some(attempt),
        _ => None,
    })
}

fn next_failure(events: &Events) -> (u32, Duration, Arc<Error>) {
    wait_for(events, "ConnectFailed", |event| match event {
        Event::ConnectFailed { attempt, retry_in, error, .. } => Some((attempt, retry_in, error)),
        _ => None,
    })
}

/// All events up to the end of the loop, which must be an error and stay the end.
fn the_end(agent: &Agent, mut events: Events) -> (Vec<Event>, Error) {
    let mut before = Vec::new();
    let error = loop {
        match events.next() {
            Some(Ok(event)) => before.push(event),
            Some(Err(error)) => break error,
            None => panic!("the loop ended without a word, after {before:?}"),
        }
    };
    assert!(events.next().is_none());
    assert!(!agent.is_connected());
    let started = Instant::now();
    assert_eq!(agent.raw().emit("hello", &()).unwrap_err().kind(), ErrorKind::Closed);
    agent.reconnect_now();
    assert!(started.elapsed() < SOON, "nobody waits for a connection that will not come");
    (before, error)
}

#[test]
fn t102_it_gives_up_after_the_configured_attempts() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start_before_upgrade(|conn| {
        if conn.index == 0 {
            conn.accept();
            conn.handshake();
        } else {
            conn.send_raw_bytes(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let (agent, events) = connect(builder(&server).reconnect(Reconnect::AtMost(2)));
    let (before, error) = the_end(&agent, events);
    assert_eq!(error.status(), Some(500), "the last try: {error}");
    assert!(
        matches!(before[..], [Event::Disconnected { .. }, Event::ConnectFailed { attempt: 1, .. }]),
        "{before:?}"
    );
    assert_eq!(server.connections().len(), 3);
}

#[test]
fn t102_a_very_short_connection_counts_as_a_failure() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| drop(conn.handshake()));
    let (agent, events) = connect(builder(&server).reconnect(Reconnect::AtMost(1)));
    let (before, error) = the_end(&agent, events);
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.to_string().contains("transport close"), "{error}");
    assert!(
        matches!(before[..], [Event::Disconnected { .. }, Event::Connected { attempt: 1, .. }]),
        "{before:?}"
    );
    assert_eq!(server.connections().len(), 2);
}

#[test]
fn t106_it_does_not_reconnect_with_the_policy_never() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| drop(conn.handshake()));
    let (agent, events) = connect(builder(&server).reconnect(Reconnect::Never));
    let (before, error) = the_end(&agent, events);
    assert_eq!((error.kind(), before.len()), (ErrorKind::Connect, 0), "{error}, {before:?}");
    agent.close().unwrap();
    assert_eq!(server.connections().len(), 1);
}

#[test]
fn t101_retry_after_is_respected_unless_reconnect_is_called() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start_before_upgrade(|conn| match conn.index {
        0 => {
            conn.accept();
            conn.handshake();
        }
        1 | 2 => {
            conn.send_raw_bytes(BUSY);
        }
        _ => keep(conn),
    });
    let (agent, events) = connect(builder(&server));
    let (attempt, retry_in, error) = next_failure(&events);
    assert_eq!((attempt, retry_in, error.retry_after()), (1, LATER, Some(LATER)));
    // An explicit attempt fails, too, and the next automatic one follows.
    agent.reconnect_now();
    let (attempt, retry_in, _) = next_failure(&events);
    assert_eq!((attempt, retry_in), (2, LATER));
    agent.reconnect_now();
    assert_eq!(next_connect(&events), 3);
    agent.raw().emit("hello", &()).unwrap();
    assert_eq!(server.connections().len(), 4);
}

#[test]
fn t105_an_interrupted_wait_makes_no_second_connection() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start_before_upgrade(|conn| {
        if conn.index == 0 {
            conn.accept();
            conn.handshake();
        } else {
            keep(conn);
        }
    });
    let (agent, events) = connect(builder(&server));
    wait_for(&events, "Disconnected", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    agent.reconnect_now();
    assert_eq!(next_connect(&events), 1);
    // Waits longer than the announced pause. While the agent is connected, `reconnect_now` does nothing.
    for _ in 0..4 {
        agent.reconnect_now();
        assert!(events.recv_timeout(Duration::from_millis(400)).is_err());
    }
    assert!(agent.is_connected());
    assert_eq!(server.connections().len(), 2);
}

/// Accepts the agent at first, then refuses it `times` times. Also returns the credentials that it got.
fn refusing(times: usize) -> (ScriptedServer, Arc<std::sync::Mutex<Vec<Value>>>) {
    let left = AtomicUsize::new(times);
    let tokens = Arc::<std::sync::Mutex<Vec<Value>>>::default();
    let shown = Arc::clone(&tokens);
    let server = ScriptedServer::start(move |conn| {
        let refused = conn.index > 0
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if refused {
            conn.open(Duration::from_secs(25), Duration::from_secs(20));
            let hello = conn.expect_connect();
            shown.lock().unwrap().push(serde_json::from_str(hello.strip_prefix("40").unwrap()).unwrap());
            conn.send_text(r#"44{"message":"You are banned"}"#);
            conn.until_gone(SOON);
        } else {
            shown.lock().unwrap().push(conn.handshake());
            if conn.index > 0 {
                conn.recv(LIMIT);
            }
        }
    });
    (server, tokens)
}

#[test]
fn t59_a_refusal_is_final_with_that_policy() {
    let _watchdog = watchdog(LIMIT);
    let (server, tokens) = refusing(usize::MAX);
    let (agent, events) = connect(builder(&server).when_refused(DisconnectPolicy::Stop));
    let (before, error) = the_end(&agent, events);
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(error.server_message(), Some("You are banned"));
    assert!(matches!(before[..], [Event::Disconnected { .. }]), "{before:?}");
    // The agent used the old session twice, and then a new one once.
    let tokens = tokens.lock().unwrap();
    assert_eq!((tokens.len(), server.connections().len()), (3, 3));
    assert!(tokens[0] == tokens[1] && tokens[1] != tokens[2], "{tokens:?}");
}

#[test]
fn t59_after_a_refusal_it_retries_slowly() {
    let _watchdog = watchdog(LIMIT);
    let (server, tokens) = refusing(3);
    let (agent, events) = connect(builder(&server));
    let (attempt, retry_in, error) = next_failure(&events);
    assert_eq!((attempt, error.kind()), (1, ErrorKind::Unauthorized));
    let slowly = Duration::from_secs(30)..=Duration::from_secs(600);
    assert!(slowly.contains(&retry_in), "{retry_in:?}");
    agent.reconnect_now();
    let (attempt, longer, _) = next_failure(&events);
    assert_eq!(attempt, 2);
    assert!(slowly.contains(&longer), "{longer:?}");
    agent.reconnect_now();
    assert_eq!(next_connect(&events), 3);
    assert_eq!(tokens.lock().unwrap().len(), 5);
}

/// Refuses every CONNECT except the first with this text.
fn with_server_problem(words: &'static str, from: usize) -> ScriptedServer {
    ScriptedServer::start(move |conn| {
        if conn.index < from {
            conn.handshake();
        } else {
            conn.open(Duration::from_secs(25), Duration::from_secs(20));
            conn.expect_connect();
            conn.send_text(format!(r#"44{{"message":"{words}"}}"#));
            conn.until_gone(SOON);
        }
    })
}

fn exchanges(server: &ScriptedServer) -> usize {
    server.requests().iter().filter(|request| request.path == "/api/auth/agent").count()
}

#[test]
fn a_server_error_does_not_renew_the_token() {
    let _watchdog = watchdog(LIMIT);
    let server = with_server_problem("Try later", 0);
    let error = builder(&server).connect("sk_x".parse().unwrap()).unwrap_err();
    assert_eq!((error.is_retryable(), error.is_auth()), (true, false), "{error}");
    assert_eq!(error.server_message(), Some("Try later"));
    assert_eq!((server.connections().len(), exchanges(&server)), (1, 1), "a new session would not help");
}

#[test]
fn a_server_error_is_retried_soon() {
    let _watchdog = watchdog(LIMIT);
    let server = with_server_problem("Server is full", 1);
    let (agent, events) = connect(builder(&server).when_refused(DisconnectPolicy::Stop));
    let mut waits = Vec::new();
    for _ in 0..7 {
        let (_, retry_in, error) = next_failure(&events);
        assert!(error.is_retryable(), "{error}");
        waits.push(retry_in);
        agent.reconnect_now();
    }
    assert!(waits[0] <= Duration::from_secs(1), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(30)), "{waits:?}");
    assert!(waits[6] >= Duration::from_secs(15), "{waits:?}");
    assert_eq!(exchanges(&server), 1);
}

#[test]
fn a_new_session_is_not_exchanged_after_every_refusal() {
    let _watchdog = watchdog(LIMIT);
    let server = with_server_problem("Invalid session", 1);
    let (agent, events) = connect(builder(&server));
    for _ in 0..5 {
        let (_, _, error) = next_failure(&events);
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        agent.reconnect_now();
    }
    // The agent exchanges its token for the connect, and again after the first refusal.
    assert_eq!(exchanges(&server), 2);
}

#[test]
fn an_endpoint_that_refuses_every_session_does_not_renew_it_again_and_again() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.until_gone(LIMIT);
    });
    server.on("GET", "/api/runs/run-1", |_| Response::json(401, json!({"error": "No."})));
    server.on("GET", "/api/auth/me", |_| Response::json(200, json!({"id": "u", "username": "larry"})));
    let (agent, _events) = connect(builder(&server));
    for _ in 0..12 {
        let error = agent.client().runs().get(&"run-1".into()).unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, Some(401)), "{error}");
        // Other endpoints accept the session, so the crate cannot know whether it has expired.
        agent.client().account().me().unwrap();
    }
    assert_eq!(exchanges(&server), 2);
    // Refusals of calls do not use up the renewals that a reconnect needs.
    for number in 0..20 {
        let path = format!("/api/runs/other-{number}");
        server.on("GET", &path, |_| Response::json(401, json!({"error": "No."})));
        agent.client().runs().get(&format!("other-{number}").as_str().into()).unwrap_err();
        agent.client().account().me().unwrap();
    }
    assert!(exchanges(&server) <= 5, "{}", exchanges(&server));
}

#[test]
fn a_disconnect_by_the_server_is_final_with_that_policy() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.send_text("41");
        // The agent closes the connection, because it no longer needs it.
        conn.until_gone(SOON);
    });
    let (agent, events) = connect(builder(&server).when_disconnected(DisconnectPolicy::Stop));
    let (before, error) = the_end(&agent, events);
    assert!(error.to_string().contains("io server disconnect"), "{error}");
    assert_eq!((before.len(), server.connections().len()), (0, 1), "{before:?}");
    server.finish(SOON);
}
