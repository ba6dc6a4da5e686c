//! Hostile handshakes: HTTP, the open packet, CONNECT. Rows B7, B8, B14 to B24, B35, B36 and T51 to T60, T90.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::common::hostile::{each, frame, lost_after, read_until_closed, refused};
use crate::common::{Conn, Received, SOON, ScriptedServer, eventually, scripted, wait_for, watchdog};
use crustocean::{Agent, ErrorKind, Event};
use serde_json::json;
use tungstenite::handshake::derive_accept_key;

const LIMIT: Duration = Duration::from_secs(60);
/// How long a script keeps an idle connection open: longer than the agent's time limits.
const HOLD: Duration = Duration::from_secs(4);

/// A `101` with these headers, and the right accept key if there is `{accept}`.
fn switch(conn: &Conn, headers: &str) -> String {
    let key = conn.request.header("sec-websocket-key").unwrap();
    let headers = headers.replace("{accept}", &derive_accept_key(key.as_bytes()));
    format!("HTTP/1.1 101 Switching Protocols\r\n{headers}\r\n")
}

fn answer(conn: &mut Conn, text: &str) {
    conn.send_raw_bytes(text.as_bytes());
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn b07_an_extension_or_protocol_nobody_offered() {
    let _watchdog = watchdog(LIMIT);
    let good = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n";
    each(&["Sec-WebSocket-Extensions: permessage-deflate\r\n", "Sec-WebSocket-Protocol: x\r\n"], |extra| {
        let headers = format!("{good}{extra}");
        let (error, again) = refused(move |conn| {
            let text = switch(conn, &headers);
            answer(conn, &text);
        });
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(again.contains("not offered"), "{again}");
    });
}

#[test]
fn b08_http_instead_of_the_open_packet() {
    let _watchdog = watchdog(LIMIT);
    // engine.io answers a wrong EIO version with 101, and then HTTP within the WebSocket.
    let (error, again) = refused(|conn| {
        conn.accept();
        conn.send_raw_bytes(
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\n\
              Content-Length: 29\r\n\r\nUnsupported protocol version.",
        );
    });
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("wrong EIO version?"), "{error}");
    assert!(again.contains("wrong EIO version?"), "{again}");
}

#[test]
fn b14_a_handshake_that_drips() {
    let _watchdog = watchdog(LIMIT);
    let started = Instant::now();
    let (error, again) = refused(|conn| {
        let text = switch(conn, "Upgrade: websocket\r\nX-Endless: ");
        conn.send_raw_bytes(text.trim_end().as_bytes());
        let deadline = Instant::now() + HOLD;
        while conn.send_raw_bytes(b"x") && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(error.is_timeout(), "{error}");
    assert!(again.contains("in time"), "{again}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[test]
fn b14_a_head_without_end() {
    let _watchdog = watchdog(LIMIT);
    let (error, _) = refused(|conn| {
        let mut text = "HTTP/1.1 101 Switching Protocols\r\n".to_owned();
        text.push_str(&"X-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n".repeat(99));
        text.push_str("X-Long: ");
        conn.send_raw_bytes(text.as_bytes());
        while conn.send_raw_bytes(&[b'x'; 1024]) {}
    });
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[test]
fn b15_a_refusal_with_a_body() {
    let _watchdog = watchdog(LIMIT);
    type Case = (&'static str, u16, ErrorKind, &'static str);
    let cases: [Case; 6] = [
        ("HTTP/1.1 503 Busy\r\nContent-Length: 11\r\n\r\nback soon\r\n", 503, ErrorKind::Server, "back soon"),
        // Without a length, until the end; without a length and without an end; in chunks.
        ("HTTP/1.1 500 Oops\r\n\r\nit broke", 500, ErrorKind::Server, "it broke"),
        ("HTTP/1.1 404 No\r\n\r\n", 404, ErrorKind::NotFound, "404"),
        (
            "HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nupst\r\n4\r\nream\r\n0\r\n\r\n",
            502,
            ErrorKind::Server,
            "upstream",
        ),
        ("HTTP/1.1 400 Bad\r\nContent-Length: 99999999999999\r\n\r\nshort", 400, ErrorKind::Server, "short"),
        ("HTTP/1.1 429 Slow\r\nRetry-After: 1\r\n\r\n", 429, ErrorKind::RateLimited, "429"),
    ];
    each(&cases, |(text, status, kind, said)| {
        let text = *text;
        let started = Instant::now();
        let (error, again) = refused(move |conn| {
            conn.send_raw_bytes(text.as_bytes());
            std::thread::sleep(HOLD);
        });
        assert_eq!((error.status(), error.kind()), (Some(*status), *kind), "{error}");
        assert!(error.to_string().contains(said) && again.contains(said), "{error} / {again}");
        assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    });
}

#[test]
fn b15_a_body_without_end_is_cut() {
    let _watchdog = watchdog(LIMIT);
    let (error, _) = refused(|conn| {
        conn.send_raw_bytes(b"HTTP/1.1 500 Oops\r\n\r\n");
        while conn.send_raw_bytes(&[b'x'; 4096]) {}
    });
    assert_eq!(error.status(), Some(500));
    assert!(error.to_string().len() < 1000, "{error}");
}

#[test]
fn t90_an_unknown_engine_session_is_told_in_the_servers_words() {
    let _watchdog = watchdog(LIMIT);
    let (error, again) = refused(|conn| {
        answer(
            conn,
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\n\
             Content-Length: 18\r\n\r\nSession ID unknown",
        );
    });
    assert_eq!((error.status(), error.server_message()), (Some(400), Some("Session ID unknown")));
    assert!(again.contains("Session ID unknown"), "{again}");
}

#[test]
fn b16_a_redirect_is_named_and_not_followed() {
    let _watchdog = watchdog(LIMIT);
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}/socket.io/", trap.local_addr().unwrap());
    let location = target.clone();
    let (error, again) = refused(move |conn| {
        answer(conn, &format!("HTTP/1.1 307 There\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"));
    });
    assert_eq!(error.status(), Some(307));
    // Only the host is shown, because the rest may quote the request.
    for text in [error.to_string(), again] {
        assert!(text.contains("a redirect to 127.0.0.1,") && !text.contains("/socket.io/"), "{text}");
    }
    trap.set_nonblocking(true).unwrap();
    assert!(trap.accept().is_err(), "nobody went there");
}

#[test]
fn b17_a_101_that_does_not_switch() {
    let _watchdog = watchdog(LIMIT);
    let cases = [
        "",
        "Upgrade: websocket\r\nConnection: Upgrade\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n",
    ];
    each(&cases, |headers| {
        let headers = *headers;
        let (error, _) = refused(move |conn| {
            let text = switch(conn, headers);
            answer(conn, &text);
        });
        assert_eq!(error.kind(), ErrorKind::Protocol, "{headers}: {error}");
    });
}

#[test]
fn b17_header_lists_are_legal() {
    let _watchdog = watchdog(LIMIT);
    // The open packet is in the same segment as the 101.
    let server = ScriptedServer::start_before_upgrade(|conn| {
        let headers =
            "upgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n";
        let mut bytes = switch(conn, headers).into_bytes();
        bytes.extend(frame(0x81, br#"0{"sid":"x"}"#));
        conn.send_raw_bytes(&bytes);
        std::thread::sleep(Duration::from_millis(200));
        conn.send_raw_bytes(&frame(0x81, br#"40{"sid":"y"}"#));
        std::thread::sleep(Duration::from_secs(2));
    });
    let agent = scripted(&server);
    assert!(agent.is_connected());
    drop(agent);
}

#[test]
fn b18_a_web_page_of_somebody_in_between() {
    let _watchdog = watchdog(LIMIT);
    let (error, again) = refused(|conn| {
        answer(
            conn,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 30\r\n\r\n<html>Pay for Wi-Fi here</html>",
        );
    });
    assert_eq!(error.status(), Some(200));
    assert!(error.to_string().contains("web page") && !error.to_string().contains("Wi-Fi"), "{error}");
    assert!(again.contains("web page"), "{again}");
}

#[test]
fn b19_t55_no_open_packet() {
    let _watchdog = watchdog(LIMIT);
    let (error, again) = refused(|conn| {
        conn.accept();
        read_until_closed(conn, HOLD);
    });
    assert!(error.is_timeout(), "{error}");
    assert!(again.contains("open packet in time"), "{again}");
}

#[test]
fn b20_something_else_than_the_open_packet() {
    let _watchdog = watchdog(LIMIT);
    let cases: [fn(&mut Conn); 6] = [
        |conn| assert!(conn.send_text("40{\"sid\":\"x\"}")),
        |conn| assert!(conn.send_text("2")),
        |conn| assert!(conn.send_text("")),
        |conn| assert!(conn.send_text("hello")),
        |conn| assert!(conn.send_binary(b"0{\"sid\":\"x\"}")),
        |conn| conn.close(1000, ""),
    ];
    each(&cases, |case| {
        let case = *case;
        let (error, _) = refused(move |conn| {
            conn.accept();
            case(conn);
            read_until_closed(conn, HOLD);
        });
        assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Connect), "{error}");
    });
}

#[test]
fn b20_endless_websocket_pings_instead_of_the_open_packet() {
    let _watchdog = watchdog(LIMIT);
    let (error, _) = refused(|conn| {
        conn.accept();
        while conn.send_ping(b"") {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[test]
fn b21_an_open_packet_that_is_none() {
    let _watchdog = watchdog(LIMIT);
    let cases =
        ["0", "0{", "0{bad json", "0[]", "0null", "0\"sid\"", "0{}", r#"0{"sid":""}"#, r#"0{"sid":7}"#];
    each(&cases, |text| {
        let text = *text;
        let (error, _) = refused(move |conn| {
            conn.accept();
            conn.send_text(text);
            read_until_closed(conn, HOLD);
        });
        assert_eq!(error.kind(), ErrorKind::Protocol, "{text}: {error}");
    });
}

#[test]
fn b22_b23_wild_numbers_in_the_open_packet() {
    let _watchdog = watchdog(LIMIT);
    let cases = [
        r#"{"sid":"x"}"#,
        r#"{"sid":"x","pingInterval":0,"pingTimeout":0,"maxPayload":0}"#,
        r#"{"sid":"x","pingInterval":-1,"pingTimeout":-1e300,"maxPayload":-5}"#,
        r#"{"sid":"x","pingInterval":2.5,"pingTimeout":0.1,"maxPayload":1.5}"#,
        r#"{"sid":"x","pingInterval":1e999,"pingTimeout":99999999999999999999,"maxPayload":1e30}"#,
        r#"{"sid":"x","pingInterval":2147483648,"pingTimeout":"soon","maxPayload":null}"#,
        r#"{"sid":"x","pingInterval":{},"pingTimeout":[1],"maxPayload":1}"#,
    ];
    each(&cases, |json| {
        let json = *json;
        let server = ScriptedServer::start(move |conn| {
            assert_eq!(conn.index, 0, "{json}: a loop of connections");
            conn.send_text(format!("0{json}"));
            conn.accept_connect();
            // Within every clamped deadline, but far beyond zero.
            for _ in 0..10 {
                std::thread::sleep(Duration::from_millis(200));
                conn.heartbeat();
            }
            conn.send_text(r#"42["beaten"]"#);
            conn.expect_event("done");
            read_until_closed(conn, SOON);
        });
        let agent = scripted(&server);
        loop {
            match agent.events().recv_timeout(SOON).unwrap() {
                Event::Other(raw) if raw.name() == "beaten" => break,
                Event::Disconnected { reason, .. } => panic!("{json}: {reason}"),
                _ => {}
            }
        }
        // 1 KiB is accepted whatever maxPayload says.
        agent.raw().emit("done", &"x".repeat(900)).unwrap();
        agent.close().unwrap();
        server.finish(SOON);
    });
}

#[test]
fn b24_a_second_open_packet() {
    let _watchdog = watchdog(LIMIT);
    let loss = lost_after(|conn| conn.open(Duration::from_secs(25), Duration::from_secs(20)));
    assert_eq!(loss.reason, "parse error", "{}", loss.detail);
}

#[test]
fn b35_events_before_the_connect_reply_wait_for_it() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.open(Duration::from_secs(25), Duration::from_secs(20));
        conn.next_text("CONNECT");
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
        conn.next_text("CONNECT");
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
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(8), "{took:?}");
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
        let auth = conn.next_text("CONNECT");
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
            conn.next_text("CONNECT");
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
        conn.next_text("CONNECT");
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
