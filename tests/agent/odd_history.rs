//! An undecodable message in a history loses only itself. The others on its page arrive, and the gap is reported as not
//! completely filled, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{
    Conn, Request, Response, SOON, ScriptedServer, scripted, wait_for, wait_for_message, watchdog,
};
use crustocean::{Agent, Event, Events};
use serde_json::{Value, json};

fn message(id: &str, second: u32) -> Value {
    json!({"id": id, "agency_id": "ag-1", "content": id, "created_at": format!("2026-01-01T00:00:{second:02}Z")})
}

/// An agent that has heard `m1` and then loses its connection. `history` is the room's history afterwards.
fn after_a_gap(
    history: impl Fn(&Request) -> Value + Send + Sync + 'static,
) -> (ScriptedServer, Agent, Events) {
    let wait = |conn: &mut Conn| drop(conn.recv(SOON));
    let server = ScriptedServer::losing_a_connection(vec![message("m1", 1)], wait, move |request, lost| {
        if lost { history(request) } else { json!([]) }
    });
    let agent = scripted(&server);
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    let events = agent.events();
    wait_for_message(&events, "m1");
    agent.send("now it breaks").unwrap();
    (server, agent, events)
}

#[test]
fn an_undecodable_message_loses_only_itself_and_is_reported() {
    let _watchdog = watchdog(SOON * 3);
    let (_server, _agent, events) = after_a_gap(|request| {
        let odd = json!({"content": "who said that?"});
        match request.query.contains("before") {
            true => json!([]),
            false => json!([message("m3", 3), odd, null, message("m2", 2), message("m1", 1)]),
        }
    });
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

/// The history after each loss of the connection, newest first.
fn histories() -> [Value; 4] {
    let odd = json!({"content": "who said that?"});
    let named = json!({"id": "m4", "content": "no time and no room"});
    let m = message;
    [
        json!([m("m3", 3), odd, null, m("m2", 2), m("m1", 1)]),
        json!([m("m4", 4), m("m3", 3), odd, null, m("m2", 2), m("m1", 1)]),
        // A loop already has the element whose id it has heard. An element with another id is new.
        json!([m("m5", 5), named, null, m("m3", 3), odd, null, m("m2", 2), m("m1", 1)]),
        json!([m("m6", 6), m("m5", 5), named, null, m("m3", 3), odd, null, m("m2", 2)]),
    ]
}

/// Loses the connection once for each message of `last`. `history` is the room's history, from the number of losses.
/// Returns what is reported as missing before each of these messages, or an empty text.
fn reports_before(
    last: &[&str],
    history: impl Fn(usize, &Request) -> Value + Send + Sync + 'static,
) -> Vec<String> {
    let losses = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&losses);
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        conn.accept_join();
        if conn.index == 0 {
            conn.send_event("message", message("m1", 1));
        }
        conn.recv(SOON);
        counted.fetch_add(1, Ordering::SeqCst);
    });
    server.on("GET", "/api/agencies/ag-1/messages", move |request| {
        Response::json(200, history(losses.load(Ordering::SeqCst), request))
    });
    let agent = scripted(&server);
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    let events = agent.events();
    wait_for_message(&events, "m1");
    let mut reports = Vec::new();
    for last in last {
        agent.send("now it breaks").unwrap();
        let mut reported = None;
        // A report comes before the messages.
        wait_for(&events, last, |event| {
            match event {
                Event::Disconnected { .. } | Event::ConnectFailed { .. } => agent.reconnect_now(),
                Event::GapNotFilled { error, .. } => reported = Some(error.to_string()),
                Event::Message(message) if message.id == *last => return Some(()),
                _ => {}
            }
            None
        });
        reports.push(reported.unwrap_or_default());
    }
    reports
}

#[test]
fn an_unreadable_message_is_reported_once() {
    let _watchdog = watchdog(SOON * 5);
    let told = reports_before(&["m3", "m4", "m5", "m6"], |losses, request| match losses.checked_sub(1) {
        Some(loss) if !request.query.contains("before") => histories()[loss.min(3)].clone(),
        _ => json!([]),
    });
    assert!(
        told[0].contains("2 messages")
            && told[1].is_empty()
            && told[2].contains("1 message")
            && told[3].is_empty(),
        "{told:?}"
    );
}

/// The message was the newest of the history. So only its older neighbour is known, and that one is on the next page.
#[test]
fn an_unreadable_message_at_the_end_of_a_page_is_reported_once() {
    let _watchdog = watchdog(SOON * 5);
    let told = reports_before(&["m2", "m26"], |losses, request| {
        let is_second_page = request.query.contains("before");
        match losses {
            0 => json!([]),
            1 if is_second_page => json!([]),
            1 => json!([null, message("m2", 2), message("m1", 1)]),
            _ if is_second_page => json!([message("m3", 3), null, message("m2", 2), message("m1", 1)]),
            _ => {
                assert!(request.query.contains("limit=25"), "{}", request.query);
                let newest = (3..=26).rev().map(|number| message(&format!("m{number}"), number));
                newest.chain([Value::Null]).collect()
            }
        }
    });
    assert!(told[0].contains("1 message") && told[1].is_empty(), "{told:?}");
}

/// The pages before it are requested by id and by time, and contain nothing else.
#[test]
fn an_unreadable_message_at_the_start_of_a_history_is_reported_once() {
    let _watchdog = watchdog(SOON * 5);
    let told = reports_before(&["m26"], |losses, request| {
        let newest = (2..=26).rev().map(|number| message(&format!("m{number}"), number));
        match losses {
            0 => json!([]),
            _ if request.query.contains(".001") => json!([message("m2", 2), null]),
            _ if request.query.contains("before") => json!([null]),
            _ => newest.collect(),
        }
    });
    assert!(told[0].contains("1 message "), "{told:?}");
}

/// A page without one readable message does not say where the next page starts.
#[test]
fn behind_a_page_of_unreadable_messages_the_others_are_heard() {
    let _watchdog = watchdog(SOON * 3);
    let (_server, _agent, events) = after_a_gap(|request| {
        if request.query.contains("before") {
            return json!([]);
        }
        let mut history = vec![json!(17); 40];
        history.extend([message("m2", 2), message("m1", 1)]);
        let limit = request.query.split('&').find_map(|pair| pair.strip_prefix("limit="));
        history.truncate(limit.map_or(50, |limit| limit.parse().unwrap()));
        Value::Array(history)
    });
    let why = wait_for(&events, "what is missing", |event| match event {
        Event::GapNotFilled { error, .. } => Some(error.to_string()),
        _ => None,
    });
    assert!(why.contains("40 messages"), "{why}");
    wait_for_message(&events, "m2");
}
