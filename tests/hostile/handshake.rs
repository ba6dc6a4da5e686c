//! Hostile HTTP in the WebSocket handshake: rows B7, B8, B14 to B18 and T90.

use std::time::{Duration, Instant};

use crate::common::hostile::{each, frame, refused, refused_within};
use crate::common::{Conn, ScriptedServer, scripted, watchdog};
use crustocean::ErrorKind;
use tungstenite::handshake::derive_accept_key;

const LIMIT: Duration = Duration::from_secs(180);

/// How long a script keeps an idle connection open.
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
    let hold = Duration::from_secs(10);
    let (error, again) = refused_within(hold / 3, move |conn| {
        let text = switch(conn, "Upgrade: websocket\r\nX-Endless: ");
        conn.send_raw_bytes(text.trim_end().as_bytes());
        let deadline = Instant::now() + hold;
        while conn.send_raw_bytes(b"x") && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(error.is_timeout(), "{error}");
    assert!(again.contains("in time"), "{again}");
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
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
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
fn b18_a_web_page_of_a_captive_portal() {
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
