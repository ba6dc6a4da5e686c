//! The `error` events of the server.

use std::time::Duration;

use crate::common::{SOON, ScriptedServer, scripted, wait_for, watchdog};
use crustocean::Event;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn secrets_in_a_servers_error_events_are_masked() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.send_event("error", json!("bad session session-1"));
        conn.send_event("error", json!({"message": "bad agent sk_x, session%2D1"}));
        let id: String = conn.next_text("a call").chars().skip(2).take_while(char::is_ascii_digit).collect();
        conn.send_text(format!(r#"43{id}[{{"error":"no session-1 here"}}]"#));
        conn.until_gone(SOON);
    });
    let agent = scripted(&server);
    let events = agent.events();
    for expected in ["bad session …", "bad agent …, …"] {
        let said = wait_for(&events, expected, |event| match event {
            Event::ServerError { message, .. } => Some(message),
            _ => None,
        });
        assert_eq!(said, expected);
    }
    let answer = agent.raw().call("anything", &(), SOON).map(|answer| format!("{answer:?}"));
    let answer = answer.unwrap_or_else(|error| format!("{error} {error:?}"));
    assert!(!answer.contains("session-1") && answer.contains('…'), "{answer}");
    agent.close().unwrap();
}
