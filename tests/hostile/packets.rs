//! Hostile Engine.IO and Socket.IO packets on an open connection: rows B25 to B29, B33, B34, T70 and T85.

use std::time::Duration;

use crate::common::hostile::{all_lost, lost_after, lost_within, survives};
use crate::common::{SOON, ScriptedServer, scripted, watchdog};
use crustocean::ErrorKind;

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn b25_unknown_engine_packets() {
    let _watchdog = watchdog(LIMIT);
    all_lost("transport error", &["", "7", "a123", "bAQID", "{}", "\u{feff}42[\"x\"]", "\u{1F980}"]);
}

#[test]
fn b26_t87_t99_the_engines_close_packet() {
    let _watchdog = watchdog(LIMIT);
    all_lost("transport close", &["1", "1 and more"]);
}

#[test]
fn b27_packets_without_effect() {
    let _watchdog = watchdog(LIMIT);
    let events = survives(|conn| {
        for text in ["3", "3probe", "5", "6", "6x"] {
            conn.send_text(text);
        }
        conn.send_ping(b"x");
    });
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn b28_invalid_packets() {
    let _watchdog = watchdog(LIMIT);
    all_lost(
        "parse error",
        &[
            "4",
            "47",
            "4999",
            "4a",
            "42[]",
            "42{}",
            "42\"x\"",
            "42[true]",
            "42[null]",
            "42[{}]",
            "42[[\"x\"]]",
            "42[\"x\"",
            "42[\"x\",]",
            "42[\"x\" 1]",
            "42[\"x\",1]]",
            "42[\"x\",{\"a\":}]",
            "42[\"x\",'a']",
            "42[\"connect\"]",
            "42[\"disconnect\"]",
            "42[\"newListener\",1]",
            "42/,{}",
            "43[]",
            "431{}",
            "431[",
            "431[1,]",
            "41{}",
            "40[]",
            "40\"x\"",
        ],
    );
}

#[test]
fn b29_an_event_without_payload() {
    let _watchdog = watchdog(LIMIT);
    all_lost("parse error", &["42", "427", "42/,"]);
}

#[test]
fn b33_the_connect_reply_twice() {
    let _watchdog = watchdog(LIMIT);
    // `socket-0` is what the handshake said.
    let events = survives(|conn| {
        conn.send_text(r#"40{"sid":"socket-0"}"#);
        conn.send_text(r#"40{"sid":"socket-0","pid":"x"}"#);
    });
    assert!(events.is_empty(), "{events:?}");
    // Another id means another session. The agent has joined no room in it.
    let loss = lost_after(|conn| {
        conn.send_text(r#"40{"sid":"another"}"#);
    });
    assert_eq!(loss.reason, "parse error", "{}", loss.detail);
    let loss = lost_after(|conn| {
        conn.send_text("40");
    });
    assert_eq!(loss.reason, "parse error", "{}", loss.detail);
}

#[test]
fn b34_packets_of_other_namespaces() {
    let _watchdog = watchdog(LIMIT);
    let events = survives(|conn| {
        for text in [
            r#"42/admin,["x",1]"#,
            r#"42/admin,7["x",1]"#,
            r#"43/admin,1["x"]"#,
            r#"40/admin,{"sid":"x"}"#,
            r#"44/admin,{"message":"no"}"#,
            "41/admin,",
            "41/admin",
            r#"42/admin/deeper?x=1,["x"]"#,
        ] {
            conn.send_text(text);
        }
        // Their attachments are ignored, too.
        conn.send_text(r#"452-/admin,["x",{"_placeholder":true,"num":0}]"#);
        conn.send_binary(b"a");
        conn.send_text("2");
        conn.expect_text("3");
        conn.send_binary(b"b");
        conn.send_text(r#"461-/admin,1[{"_placeholder":true,"num":9}]"#);
        conn.send_binary(b"c");
        conn.send_text(r#"450-/admin,["x"]"#);
    });
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn t70_t93_reserved_names_and_the_time_after_the_end() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        assert_eq!(conn.until_gone(SOON).len(), 2, "41 and a close frame, nothing else");
    });
    let agent = scripted(&server);
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert_eq!(agent.raw().emit(name, &1).unwrap_err().kind(), ErrorKind::Invalid, "{name}");
    }
    let other = agent.clone();
    agent.close().unwrap();
    assert!(other.raw().emit("x", &1).unwrap_err().is_closed());
    assert!(other.raw().call("x", &1, SOON).unwrap_err().is_closed());
    server.finish(SOON);
}

#[test]
fn t85_a_silent_server_is_noticed_after_interval_and_timeout() {
    let _watchdog = watchdog(LIMIT);
    let started = std::time::Instant::now();
    let loss = lost_within(SOON, Duration::from_secs(2), |_| {});
    assert_eq!(loss.reason, "ping timeout", "{}", loss.detail);
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(20), "{took:?}");
}
