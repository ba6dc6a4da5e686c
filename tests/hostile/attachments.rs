//! Hostile binary packets: rows B37 to B42, T26, T28.

use std::time::Duration;

use crate::common::hostile::{all_lost, each, lost_after, lost_within, other, survives};
use crate::common::{SOON, watchdog};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

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
