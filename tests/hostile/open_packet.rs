//! Hostile open packets of Engine.IO: rows B19 to B24.

use std::time::Duration;

use crate::common::hostile::{each, lost_after, read_until_closed, refused, refused_within};
use crate::common::{Conn, SOON, ScriptedServer, scripted, watchdog};
use crustocean::{ErrorKind, Event};

const LIMIT: Duration = Duration::from_secs(180);

/// How long a script keeps an idle connection open.
const HOLD: Duration = Duration::from_secs(10);

#[test]
fn b19_t55_no_open_packet() {
    let _watchdog = watchdog(LIMIT);
    let (error, again) = refused_within(HOLD / 3, |conn| {
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
fn b22_b23_extreme_numbers_in_the_open_packet() {
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
