//! Hostile packets on an open connection: rows B25 to B34, B37 to B45 and B54. Also harmless but unusual packets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::common::hostile::{each, lost_after, lost_within, read_until_closed, survives};
use crate::common::{SOON, ScriptedServer, scripted, wait_for, watchdog};
use crustocean::{ErrorKind, Event, agent::RawEvent};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// Checks that each of these ends the connection, for this reason, and delivers no event.
fn all_lost(reason: &str, texts: &[&'static str]) {
    each(texts, |text| {
        let text = *text;
        let loss = lost_after(move |conn| {
            conn.send_text(text);
        });
        assert_eq!(loss.reason, reason, "{text:?}: {}", loss.detail);
        assert!(loss.before.is_empty(), "{text:?}: {:?}", loss.before);
    });
}

fn other(event: &Event) -> &RawEvent {
    match event {
        Event::Other(raw) => raw,
        other => panic!("{other:?}"),
    }
}

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
fn b27_packets_that_mean_nothing() {
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
fn b28_packets_of_no_sense() {
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
fn b30_t67_acks_without_payload_and_late_refusals() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        for answer in ["", "[]", "[false]", "[null,1]", "[[1,2],3]", r#"["\ud83d"]"#] {
            let question = conn.next_text("a question");
            let id = question.trim_start_matches("42").split('[').next().unwrap().to_owned();
            conn.send_text(format!("43{id}{answer}"));
        }
        // A refusal of an open session changes nothing.
        conn.send_text("44");
        conn.send_text("44\"text\"");
        conn.send_text("44{}");
        conn.heartbeat();
        conn.recv(SOON);
    });
    let agent = scripted(&server);
    for answer in [json!(null), json!(null), json!(false), json!(null), json!([1, 2]), json!("\u{fffd}")] {
        assert_eq!(agent.raw().call("q", &1, SOON).unwrap(), answer);
    }
    std::thread::sleep(Duration::from_millis(200));
    assert!(agent.is_connected());
    agent.close().unwrap();
    server.finish(SOON);
}

#[test]
fn b31_acks_nobody_waits_for() {
    let _watchdog = watchdog(LIMIT);
    let events = survives(|conn| {
        for text in ["430[]", "431[\"x\"]", "431[\"x\"]", "439007199254740991[1]", "460-5[1]"] {
            conn.send_text(text);
        }
    });
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn b32_ack_ids_out_of_range() {
    let _watchdog = watchdog(LIMIT);
    all_lost(
        "parse error",
        &[
            "429007199254740992[\"x\"]",
            "4299999999999999999999[\"x\"]",
            "42000000000000000001[\"x\"]",
            "42-1[\"x\"]",
            "42+1[\"x\"]",
            "42 1[\"x\"]",
            "421e3[\"x\"]",
            "420x1[\"x\"]",
            "43٣[]",
        ],
    );
}

#[test]
fn b32_the_largest_ack_id_and_leading_zeros() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.send_text(r#"429007199254740991["test"]"#);
        conn.expect_text(r#"439007199254740991["oof"]"#);
        conn.send_text(r#"42007["test"]"#);
        conn.expect_text(r#"437["oof"]"#);
        conn.send_text(r#"420["test"]"#);
        conn.expect_text(r#"430["oof"]"#);
    });
    let agent = scripted(&server);
    for event in agent.events().filter_map(Result::ok) {
        match event {
            Event::Other(raw) => agent.raw().answer(&raw, &"oof").unwrap(),
            Event::Disconnected { .. } => break,
            _ => {}
        }
    }
    agent.close().unwrap();
    server.finish(SOON);
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
    // Another id means another session, in which the agent has joined no room.
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
fn b37_t21_t22_t24_t37_attachment_counts() {
    let _watchdog = watchdog(LIMIT);
    all_lost(
        "parse error",
        &[
            "45",
            "451",
            "45-[\"x\"]",
            "4511-[\"x\"]",
            "459999999999-[\"x\"]",
            "451.5-[\"x\"]",
            "45-1-[\"x\"]",
            "45+1-[\"x\"]",
            "455invalid",
            "45a-[\"x\"]",
            "46999-1[]",
        ],
    );
}

#[test]
fn b38_no_attachments_at_all() {
    let _watchdog = watchdog(LIMIT);
    let events = survives(|conn| {
        conn.send_text(r#"450-["x",1]"#);
        conn.send_event("y", json!(2));
    });
    assert_eq!(events.iter().map(|event| other(event).name()).collect::<Vec<_>>(), ["x", "y"]);
}

#[test]
fn b39_attachments_that_do_not_come() {
    let _watchdog = watchdog(LIMIT);
    // Nothing arrives: the heartbeat notices. (The unit tests have a minute of pings without attachments.)
    let loss = lost_within(SOON, Duration::from_secs(2), |conn| {
        conn.send_text(r#"452-["x",{"_placeholder":true,"num":0}]"#);
        conn.send_binary(b"a");
    });
    assert_eq!(loss.reason, "ping timeout", "{}", loss.detail);
    assert!(loss.before.is_empty());
    // More than 16 MiB of them together.
    let loss = lost_after(|conn| {
        conn.send_text(r#"453-["x"]"#);
        for _ in 0..3 {
            conn.send_binary(&vec![7; 6 << 20]);
        }
    });
    assert_eq!(loss.reason, "parse error", "{}", loss.detail);
}

#[test]
fn b39_pings_are_answered_while_attachments_are_due() {
    let _watchdog = watchdog(LIMIT);
    let events = survives(|conn| {
        conn.send_text(r#"452-["x",{"_placeholder":true,"num":1}]"#);
        conn.heartbeat();
        conn.send_binary(b"a");
        conn.send_ping(b"");
        conn.heartbeat();
        conn.send_binary(b"b");
    });
    let attachments: Vec<_> = other(&events[0]).attachments().collect();
    assert_eq!(attachments, [b"a", b"b"]);
}

#[test]
fn b40_t32_t33_attachments_and_headers_out_of_turn() {
    let _watchdog = watchdog(LIMIT);
    let header = r#"451-["x",{"_placeholder":true,"num":0}]"#;
    each(&["42[\"y\"]", header, "431[]", "42/admin,[\"y\"]"], |text| {
        let text = *text;
        let loss = lost_after(move |conn| {
            conn.send_text(header);
            conn.send_text(text);
        });
        assert_eq!(loss.reason, "parse error", "{text}: {}", loss.detail);
        assert!(loss.before.is_empty());
    });
    let loss = lost_after(|conn| {
        conn.send_binary(b"4nobody asked");
    });
    assert_eq!(loss.reason, "parse error", "{}", loss.detail);
}

#[test]
fn b41_t30_t31_placeholders_that_name_nothing() {
    let _watchdog = watchdog(LIMIT);
    let cases = [
        r#"{"_placeholder":true}"#,
        r#"{"_placeholder":true,"num":"0"}"#,
        r#"{"_placeholder":true,"num":-1}"#,
        r#"{"_placeholder":true,"num":0.5}"#,
        r#"{"_placeholder":true,"num":1}"#,
        r#"{"_placeholder":true,"num":"splice"}"#,
        r#"[[{"deep":{"_placeholder":true,"num":99999999999999999999}}]]"#,
        r#"{"\u005fplaceholder":true,"num":7}"#,
    ];
    each(&cases, |argument| {
        let argument = *argument;
        let loss = lost_after(move |conn| {
            conn.send_text(format!("451-[\"x\",{argument}]"));
            conn.send_binary(b"a");
        });
        assert_eq!(loss.reason, "parse error", "{argument}: {}", loss.detail);
        assert!(loss.before.is_empty());
    });
}

#[test]
fn t28_t34_t69_placeholders_nested_repeated_and_out_of_order() {
    let _watchdog = watchdog(LIMIT);
    let argument = r#"{"b":{"_placeholder":true,"num":1},"a":[null,{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]}"#;
    let events = survives(move |conn| {
        conn.send_event("before", json!(0));
        conn.send_text(format!("453-[\"x\",{argument}]"));
        for bytes in [&b"zero"[..], b"4\x00\xff", b""] {
            conn.send_binary(bytes);
        }
        conn.send_event("after", json!(2));
    });
    assert_eq!(events.iter().map(|event| other(event).name()).collect::<Vec<_>>(), ["before", "x", "after"]);
    let raw = other(&events[1]);
    let tree: Value = raw.first().unwrap();
    let attachments: Vec<_> = raw.attachments().collect();
    assert_eq!(attachments, [&b"zero"[..], b"4\x00\xff", b""]);
    assert_eq!(tree["a"][1]["num"], 0);
    assert_eq!((&tree["b"]["num"], &tree["a"][2]["num"]), (&json!(1), &json!(1)));
}

#[test]
fn t26_half_a_binary_packet_is_gone_with_its_link() {
    let _watchdog = watchdog(LIMIT);
    // The next connection begins with a text packet, which `lost_after` checks.
    let loss = lost_after(|conn| {
        conn.send_text(r#"452-["x",{"_placeholder":true,"num":0}]"#);
        conn.send_binary(b"a");
        conn.close(1000, "");
    });
    assert_eq!(loss.reason, "transport close");
    assert!(loss.before.is_empty());
}

#[test]
fn b42_data_that_only_looks_like_a_placeholder() {
    let _watchdog = watchdog(LIMIT);
    let events = survives(|conn| {
        conn.send_text(r#"42["x",{"_placeholder":true,"num":5}]"#);
        conn.send_text(r#"42["x",{"_placeholder":true}]"#);
    });
    let first: Value = other(&events[0]).first().unwrap();
    assert_eq!(first, json!({"_placeholder": true, "num": 5}));
    assert_eq!(events.len(), 2);
}

const MESSAGE: &str = r#""id":"m","agency_id":"ag-1","created_at":"2026-03-05T10:00:00.000Z""#;

#[test]
fn b43_t68_t201_what_any_user_can_post_costs_nothing() {
    let _watchdog = watchdog(LIMIT);
    let events = survives(|conn| {
        // Half an emoji, as JavaScript creates it when it cuts a text.
        conn.send_text(format!(r#"42["message",{{{MESSAGE},"content":"cut \ud83e"}},"offset"]"#));
        conn.send_text(format!(r#"42["message",{{{MESSAGE},"content":"\udd80\ud83e\udd80\u2028 crab"}}]"#));
        for depth in [126, 300, 100_000] {
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            conn.send_text(format!(
                r#"42["message",{{{MESSAGE},"content":"deep","metadata":{{"x":{deep}}}}}]"#
            ));
            conn.send_text(format!(r#"42["other",{deep}]"#));
            // With attachments, which are read and dropped; with an ack, which is not answered.
            conn.send_text(format!(r#"451-["other",{deep}]"#));
            conn.send_binary(b"x");
            conn.send_text(format!(r#"427["message",{deep}]"#));
        }
        conn.send_text(r#"42["na\ud83dme",1]"#);
    });
    let contents: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Message(message) => Some(message.content.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(contents[..2], ["cut \u{fffd}", "\u{fffd}\u{1F980}\u{2028} crab"]);
    // Deep metadata loses nothing if the model skips it, and otherwise at most its message.
    let odd = events.iter().filter(|event| match event {
        Event::Undecodable { name, .. } => name == "message",
        Event::Message(message) => message.content == "deep",
        _ => false,
    });
    assert_eq!(odd.count(), 6, "{events:?}");
    let others: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Other(raw) => Some(raw.name()),
            _ => None,
        })
        .collect();
    assert_eq!(others[..6], ["other"; 6]);
    assert_eq!(others[6..], ["na\u{fffd}me"]);
}

#[test]
fn b44_numbers_and_keys_beyond_reason() {
    let _watchdog = watchdog(LIMIT);
    let events = survives(|conn| {
        conn.send_text(format!(r#"42["message",{{{MESSAGE},"content":1e999}}]"#));
        conn.send_text(r#"42["other",1e999]"#);
        conn.send_text(r#"42["other",123456789012345678901234567890]"#);
        conn.send_text(format!(r#"42["message",{{{MESSAGE},"content":"first","content":"last"}}]"#));
    });
    // A number instead of a text becomes its digits.
    assert!(matches!(&events[0], Event::Message(message) if message.content == "1e999"), "{:?}", events[0]);
    assert!(other(&events[1]).first::<f64>().is_err());
    assert_eq!(other(&events[2]).first::<f64>().unwrap(), 123456789012345678901234567890.0);
    assert!(matches!(&events[3], Event::Message(message) if message.content == "last"), "{:?}", events[3]);
    all_lost(
        "parse error",
        &[
            "42[\"x\",\"\u{1}\"]",
            "42[\"x\",\u{feff}1]",
            "42[\"x\",NaN]",
            "42[\"x\",-]",
            "42[\"message\",{\"a\":01}]",
        ],
    );
}

#[test]
fn b45_long_names_and_many_arguments() {
    let _watchdog = watchdog(LIMIT);
    let events = survives(|conn| {
        conn.send_text(format!("42[\"{}\"]", "n".repeat(1 << 20)));
        conn.send_text(format!("42[\"many\"{}]", ",1".repeat(1_000_000)));
        conn.send_text("42[\"line\\nbreak\\u001b[31m\",1]");
    });
    assert_eq!(other(&events[0]).name().len(), 1 << 20);
    assert_eq!(other(&events[1]).first::<u8>().unwrap(), 1);
    assert_eq!(other(&events[1]).args().len(), 1_999_999);
    assert_eq!(other(&events[2]).name(), "line\nbreak\u{1b}[31m");
}

#[test]
fn b54_a_message_the_server_hangs_up_on_is_not_repeated() {
    let _watchdog = watchdog(LIMIT);
    let (tell, told) = mpsc::channel();
    let poison = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&poison);
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        while let Some(text) = conn.recv_text(SOON) {
            if text.contains("poison") {
                seen.fetch_add(1, Ordering::SeqCst);
                return;
            }
            tell.send((conn.index, text)).unwrap();
        }
    });
    let agent = scripted(&server);
    // With an ack the failure is known.
    let error = agent.raw().call("poison", &1, SOON).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Connect | ErrorKind::MaybeSent), "{error}");
    agent.raw().emit("poison", &2).unwrap();
    wait_for(&agent.events(), "the second loss", {
        let mut losses = 0;
        move |event| {
            losses += usize::from(matches!(event, Event::Disconnected { .. }));
            (losses == 2).then_some(())
        }
    });
    agent.raw().emit("food", &3).unwrap();
    let (index, text) = told.recv_timeout(SOON).unwrap();
    assert_eq!((index, text.as_str()), (2, r#"42["food",3]"#));
    assert_eq!(poison.load(Ordering::SeqCst), 2);
    agent.close().unwrap();
}

#[test]
fn r135_t88_what_is_too_large_for_the_server_is_refused_here() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.send_text(r#"0{"sid":"x","maxPayload":2000}"#);
        conn.accept_connect();
        // Exactly the largest allowed size, and the connection stays open.
        assert_eq!(conn.next_text("the largest message").len(), 2000);
        conn.expect_event("after");
        read_until_closed(conn, SOON);
    });
    let agent = scripted(&server);
    let frame = |size: usize| "x".repeat(size - r#"42["big",""]"#.len());
    let error = agent.raw().emit("big", &frame(2001)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("at most 2000"), "{error}");
    assert_eq!(agent.raw().call("big", &frame(2001), SOON).unwrap_err().kind(), ErrorKind::Invalid);
    agent.raw().emit("big", &frame(2000)).unwrap();
    agent.raw().emit("after", &1).unwrap();
    agent.close().unwrap();
    server.finish(SOON);
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
fn t85_silence_is_noticed_after_interval_and_timeout() {
    let _watchdog = watchdog(LIMIT);
    let started = std::time::Instant::now();
    let loss = lost_within(SOON, Duration::from_secs(2), |_| {});
    assert_eq!(loss.reason, "ping timeout", "{}", loss.detail);
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(8), "{took:?}");
}
