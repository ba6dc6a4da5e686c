//! Hostile acks: rows B30 to B32.

use std::time::Duration;

use crate::common::hostile::{all_lost, survives};
use crate::common::{SOON, ScriptedServer, scripted, watchdog};
use crustocean::Event;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

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
        conn.send_event("end", json!({}));
        conn.until_gone(SOON);
    });
    let agent = scripted(&server);
    for event in agent.events().filter_map(Result::ok) {
        match event {
            Event::Other(raw) if raw.name() == "end" => break,
            Event::Other(raw) => agent.raw().answer(&raw, &"oof").unwrap(),
            _ => {}
        }
    }
    agent.close().unwrap();
    server.finish(SOON);
}
