//! Hostile replies to the CONNECT of Socket.IO: rows B35, B36 and T53 to T60.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::common::hostile::{each, frame, read_until_closed, refused};
use crate::common::{Received, SOON, ScriptedServer, eventually, scripted, wait_for, watchdog};
use crustocean::{Agent, ErrorKind, Event};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

/// How long a script keeps an idle connection open.
const HOLD: Duration = Duration::from_secs(4);

#[test]
fn b35_events_before_the_connect_reply_wait_for_it() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.open(Duration::from_secs(25), Duration::from_secs(20));
        conn.expect_connect();
        for n in 0..200 {
            conn.send_event("early", json!(n));
        }
        conn.heartbeat();
        conn.send_text(r#"40{"sid":"x"}"#);
        conn.send_event("late", json!(200));
        conn.recv(SOON);
    });
    let agent = scripted(&server);
    let events = agent.events();
    assert!(matches!(events.recv_timeout(SOON).unwrap(), Event::Connected { .. }));
    for n in 0..=200u64 {
        match events.recv_timeout(SOON).unwrap() {
            Event::Other(raw) => assert_eq!(raw.first::<u64>().unwrap(), n),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn b35_too_many_events_before_the_connect_reply() {
    let _watchdog = watchdog(LIMIT);
    // Many small ones, and a few large ones.
    each(&[(100_000, 1), (100, 1_000_000)], |(count, size)| {
        let (count, size) = (*count, *size);
        let (error, _) = refused(move |conn| {
            conn.accept();
            conn.open(Duration::from_secs(25), Duration::from_secs(20));
            let payload = "x".repeat(size);
            let _ = (0..count).all(|_| conn.send_event("early", json!(payload)));
        });
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains("does not answer CONNECT"), "{error}");
    });
}

#[test]
fn b36_connect_is_never_answered() {
    let _watchdog = watchdog(LIMIT);
    let (pongs, counted) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        if conn.index > 0 {
            conn.handshake();
            conn.recv(SOON);
            return;
        }
        conn.open(Duration::from_secs(25), Duration::from_secs(20));
        conn.expect_connect();
        // Pings are answered meanwhile, and do not prolong the time limit.
        let started = Instant::now();
        while conn.send_text("2") && started.elapsed() < Duration::from_secs(40) {
            if conn.recv(Duration::from_secs(1)) == Received::Text("3".to_owned()) {
                pongs.send(()).unwrap();
            }
            std::thread::sleep(Duration::from_millis(400));
        }
    });
    // 20 s by default, in addition to the time for connecting.
    let connect = || {
        let builder = Agent::builder().api_url(server.url()).handshake_timeout(Duration::from_secs(3));
        builder.connect("sk_x".parse().unwrap())
    };
    let started = Instant::now();
    let error = connect().unwrap_err();
    let took = started.elapsed();
    assert!(error.is_timeout() && error.to_string().contains("CONNECT"), "{error}");
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(20), "{took:?}");
    assert!(counted.try_iter().count() >= 3);
    assert!(connect().unwrap().is_connected());
}

#[test]
fn t53_closing_while_connecting_again_gives_no_error() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        if conn.index == 0 {
            conn.handshake();
        } else {
            // No open packet.
            read_until_closed(conn, SOON);
        }
    });
    let agent = scripted(&server);
    let events = agent.events();
    server.wait_connections(2, SOON);
    agent.close().unwrap();
    let mut rest = std::iter::from_fn(|| events.try_recv().ok());
    assert!(rest.all(|event| !matches!(event, Event::ConnectFailed { .. })));
}

#[test]
fn t54_a_server_that_went_away_is_dialled_again() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.recv(SOON);
    });
    let agent = scripted(&server);
    let events = agent.events();
    drop(server);
    let (attempt, retry_in) = wait_for(&events, "a failed try", |event| match event {
        Event::ConnectFailed { attempt, retry_in, .. } => Some((attempt, retry_in)),
        _ => None,
    });
    assert_eq!(attempt, 1);
    assert!(retry_in >= Duration::from_millis(500));
    agent.close().unwrap();
}

#[test]
fn t57_t58_credentials_are_renewed_and_a_refusal_keeps_the_servers_words() {
    let _watchdog = watchdog(LIMIT);
    let (tell, told) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.open(Duration::from_secs(25), Duration::from_secs(20));
        let auth = conn.expect_connect();
        tell.send(auth).unwrap();
        if conn.index < 2 {
            conn.send_text(r#"44{"message":"not authorized","data":{"content":"retry later"}}"#);
        } else {
            conn.send_text(r#"40{"sid":"x"}"#);
        }
        read_until_closed(conn, SOON);
    });
    let error = Agent::builder().api_url(server.url()).connect("sk_x".parse().unwrap()).unwrap_err();
    assert_eq!((error.kind(), error.server_message()), (ErrorKind::Unauthorized, Some("not authorized")));
    let agent = scripted(&server);
    let tokens: Vec<_> = told.iter().take(3).collect();
    assert_eq!(tokens[0], r#"40{"token":"session-1"}"#);
    assert_eq!(tokens[1], r#"40{"token":"session-2"}"#, "fresh after the refusal");
    agent.close().unwrap();
}

#[test]
fn t60_a_connect_reply_without_a_session_id() {
    let _watchdog = watchdog(LIMIT);
    each(&["40", "40{}", r#"40{"sid":""}"#, r#"40{"sid":7}"#], |text| {
        let text = *text;
        let (error, again) = refused(move |conn| {
            conn.accept();
            conn.open(Duration::from_secs(25), Duration::from_secs(20));
            conn.expect_connect();
            conn.send_text(text);
            read_until_closed(conn, HOLD);
        });
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(again.contains("older Socket.IO"), "{again}");
    });
}

#[test]
fn the_end_of_the_session_right_after_the_connect_reply_is_noticed() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.open(Duration::from_secs(25), Duration::from_secs(20));
        conn.expect_connect();
        // Both in one segment, and the connection stays open.
        conn.send_raw_bytes(&[frame(0x81, br#"40{"sid":"x"}"#), frame(0x81, b"41")].concat());
        read_until_closed(conn, SOON);
    });
    let agent = scripted(&server);
    let reason = wait_for(&agent.events(), "the loss", |event| match event {
        Event::Disconnected { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason, "io server disconnect");
    eventually("the agent is not connected", || !agent.is_connected());
    agent.close().unwrap();
}
