//! An undecodable message in a history loses only itself. The others on its page arrive, and the gap is reported as not
//! completely filled.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Response, SOON, ScriptedServer, scripted, wait_for, wait_for_message, watchdog};
use crustocean::Event;
use serde_json::{Value, json};

fn message(id: &str, second: u32) -> Value {
    json!({"id": id, "agency_id": "ag-1", "content": id, "created_at": format!("2026-01-01T00:00:{second:02}Z")})
}

#[test]
fn an_undecodable_message_loses_only_itself_and_is_reported() {
    static GAP: AtomicBool = AtomicBool::new(false);
    let _watchdog = watchdog(SOON * 3);
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        conn.accept_join();
        if conn.index == 0 {
            conn.send_event("message", message("m1", 1));
            conn.recv_text(SOON);
            GAP.store(true, Ordering::SeqCst);
            return;
        }
        conn.recv(SOON);
    });
    server.on("GET", "/api/agencies/ag-1/messages", move |request| {
        if !GAP.load(Ordering::SeqCst) || request.query.contains("before") {
            return Response::json(200, json!([]));
        }
        let odd = json!({"content": "who said that?"});
        Response::json(200, json!([message("m3", 3), odd, null, message("m2", 2), message("m1", 1)]))
    });
    let agent = scripted(&server);
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    let events = agent.events();
    wait_for_message(&events, "m1");
    agent.send("now it breaks").unwrap();
    let mut heard = Vec::new();
    let mut why = None;
    wait_for(&events, "m2, m3 and what is missing", |event| {
        match event {
            Event::Message(message) => heard.push(message.content),
            Event::GapNotFilled { error, .. } => why = Some(error.to_string()),
            _ => {}
        }
        (heard.len() == 2 && why.is_some()).then_some(())
    });
    assert_eq!(heard, ["m2", "m3"]);
    assert!(
        why.as_ref().is_some_and(|why| why.contains("2 messages") && why.contains("cannot be read")),
        "{why:?}"
    );
}
