//! Events with hostile content, and messages that are too large for the server: rows B43 to B45, B54 and R135.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::common::hostile::{all_lost, other, read_until_closed, survives};
use crate::common::{SOON, ScriptedServer, scripted, wait_for, watchdog};
use crustocean::{ErrorKind, Event};

const LIMIT: Duration = Duration::from_secs(180);

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
            // The agent reads attachments and drops them. It does not answer an ack request here.
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
fn b44_extreme_numbers_and_repeated_keys() {
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
        // A message of exactly the largest allowed size is sent, and the connection stays open.
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
