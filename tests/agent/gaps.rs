//! Ids decide which messages were missed. A gap delays neither other rooms nor calls that ask for an event.

use std::time::{Duration, Instant};

use crate::common::{
    Conn, Request, SOON, ScriptedServer, TestSandbox, eventually, scripted, wait_for, wait_for_message,
    watchdog,
};
use crustocean::agent::RecvError;
use crustocean::{Event, Events};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

fn message(id: &str, time: &str) -> Value {
    json!({"id": id, "agency_id": "ag-1", "content": id, "created_at": time})
}

/// Returns what a loop gets after it has received `live` and lost the connection: the texts, and whether the gap was
/// reported as not filled. `before` is the room's history before the join, `history` is its history after the loss
/// (newest first).
fn missed(before: Value, live: Vec<Value>, history: Value) -> (Vec<String>, bool) {
    missed_of(live, move |request, lost| match lost {
        false => before.clone(),
        // Everything is on one page.
        true if request.query.contains("before=") => json!([]),
        true => history.clone(),
    })
}

/// The same with a history that answers each request.
fn missed_of(
    live: Vec<Value>,
    history: impl Fn(&Request, bool) -> Value + Send + Sync + 'static,
) -> (Vec<String>, bool) {
    let end = |conn: &mut Conn| {
        conn.send_event("message", message("end", "2026-01-01T12:30:00.000Z"));
        conn.recv(SOON);
    };
    let server = ScriptedServer::losing_a_connection(live, end, history);
    let agent = scripted(&server);
    let room = agent.join("lobby").unwrap();
    let events = agent.events();
    // The server ends the connection when it gets this, after all live messages.
    room.send("go on").unwrap();
    let (mut texts, mut gap) = (Vec::new(), false);
    wait_for(&events, "the end", |event| match event {
        Event::Message(message) if message.content == "end" => Some(()),
        Event::Message(message) => {
            texts.push(message.content);
            None
        }
        Event::GapNotFilled { .. } => {
            gap = true;
            None
        }
        _ => None,
    });
    (texts, gap)
}

#[test]
fn received_messages_are_recognized_by_their_ids() {
    let _watchdog = watchdog(LIMIT);
    let at = |time: &str| format!("2026-01-01T12:00:{time}Z");
    // Before the live message, at the same time, after it, on another day, and without a time.
    for time in [&*at("59.999"), &at("60.000"), &at("61"), "2025-12-31T00:00:00Z", "soon", ""] {
        let heard = message("m1", &at("60.000"));
        let history = json!([heard, message("m2", time)]);
        assert_eq!(
            missed(json!([]), vec![heard], history),
            (vec!["m1".into(), "m2".into()], false),
            "{time}"
        );
    }
}

#[test]
fn a_message_from_the_future_hides_no_other_message() {
    let _watchdog = watchdog(LIMIT);
    let ahead = message("m1", "2036-01-01T00:00:00Z");
    let history = json!([
        ahead,
        message("m3", "2026-01-01T12:00:02Z"),
        message("m2", "2026-01-01T12:00:01Z"),
        message("m0", "2026-01-01T12:00:00Z")
    ]);
    let before = json!([message("m0", "2026-01-01T12:00:00Z")]);
    let expected = ["m1", "m2", "m3"].map(str::to_owned).to_vec();
    assert_eq!(missed(before, vec![ahead], history), (expected, false));
}

#[test]
fn an_undecodable_time_hides_no_other_message() {
    let _watchdog = watchdog(LIMIT);
    let odd = message("m1", "yesterday");
    let history = json!([message("m2", "2026-01-01T12:00:02Z"), odd, message("m0", "2026-01-01T12:00:00Z")]);
    let before = json!([message("m0", "2026-01-01T12:00:00Z")]);
    assert_eq!(missed(before, vec![odd], history), (vec!["m1".to_owned(), "m2".to_owned()], false));
}

#[test]
fn a_message_received_twice_is_delivered_once() {
    let _watchdog = watchdog(LIMIT);
    let (one, two) = (message("m1", "2026-01-01T12:00:01Z"), message("m2", "2026-01-01T12:00:02Z"));
    let live = vec![one.clone(), two.clone(), one.clone(), two.clone(), one.clone()];
    let (texts, _) = missed(json!([]), live, json!([two, one]));
    assert_eq!(texts, ["m1", "m2"]);
}

/// A short page is not the whole history if the server limits its pages to that size.
#[test]
fn on_a_server_with_small_pages_messages_from_before_the_join_are_no_news() {
    let _watchdog = watchdog(LIMIT);
    let at = |second: usize| format!("2026-01-01T12:{:02}:{:02}.000Z", second / 60, second % 60);
    let all: Vec<Value> = (0..62).map(|n| message(&format!("m{n}"), &at(n))).collect();
    let heard = all[60].clone();
    let (texts, _) = missed_of(vec![heard], move |request, lost| {
        let before = request.query.split('&').find_map(|part| part.strip_prefix("before="));
        let before = before.map(|time| time.replace("%3A", ":"));
        let known = if lost { &all[..] } else { &all[..60] };
        let is_older = |message: &&Value| {
            before.as_deref().is_none_or(|time| message["created_at"].as_str() < Some(time))
        };
        known.iter().rev().filter(is_older).take(20).cloned().collect()
    });
    assert_eq!(texts, ["m60", "m61"]);
}

/// Posts a message of alice to a room.
fn say(sandbox: &TestSandbox, room: &str, text: &str) {
    sandbox.say(room, &sandbox.alice.id, text, Value::Null).unwrap();
}

#[test]
fn a_hanging_history_delays_only_its_room_and_only_briefly() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let quiet = sandbox.add_agency("Quiet", &sandbox.alice.id).unwrap();
    let larry = sandbox.in_lobby("larry");
    larry.join("quiet").unwrap();
    let events = larry.events();
    // One of the two histories hangs.
    sandbox.delay_next(1, Duration::from_secs(60));
    sandbox.drop_links();
    eventually("the link is lost", || !larry.is_connected());
    eventually("the link is back", || larry.is_connected());
    let back = Instant::now();
    say(&sandbox, &quiet, "live");
    say(&sandbox, &sandbox.lobby_id(), "live");
    let first = wait_for_message(&events, "live").agency_id;
    assert!(back.elapsed() < Duration::from_secs(9), "{:?}", back.elapsed());
    let gap = wait_for_within(&events, Duration::from_secs(20), |event| match event {
        Event::GapNotFilled { agency_id, .. } => Some(agency_id),
        _ => None,
    });
    assert_ne!(gap, first);
    assert_eq!(wait_for_message(&events, "live").agency_id, gap);
}

fn wait_for_within<T>(events: &Events, limit: Duration, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if let Some(found) = wanted(events.recv_timeout(left).unwrap()) {
            return found;
        }
    }
}

#[test]
fn calls_keep_their_time_limits_while_a_history_hangs() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let events = larry.events();
    sandbox.delay_next(10, Duration::from_secs(60));
    sandbox.drop_links();
    wait_for(&events, "the link is lost", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    wait_for(&events, "the link is back", |event| matches!(event, Event::Connected { .. }).then_some(()));
    eventually("the room is joined again", || larry.is_connected());
    sandbox.alice_says("held");
    // The next call finds that it must read a history.
    wait_for(&events, "the room", |event| matches!(event, Event::AgencyJoined(_)).then_some(()));
    let slow = Duration::from_secs(8);
    let begun = Instant::now();
    assert!(matches!(events.try_recv(), Err(RecvError::Empty)));
    assert!(begun.elapsed() < slow, "{:?}", begun.elapsed());
    let begun = Instant::now();
    assert!(events.recv_timeout(Duration::from_millis(100)).is_err());
    assert!(begun.elapsed() < slow, "{:?}", begun.elapsed());
    let waiting = std::thread::spawn(move || events.map(|event| event.unwrap()).collect::<Vec<_>>());
    larry.close().unwrap();
    let begun = Instant::now();
    let last = waiting.join().unwrap();
    assert!(begun.elapsed() < slow, "{:?}", begun.elapsed());
    let is_gap = |event: &Event| matches!(event, Event::GapNotFilled { .. });
    let is_held = |event: &Event| matches!(event, Event::Message(message) if message.content == "held");
    let places = (last.iter().position(is_gap), last.iter().position(is_held));
    assert!(matches!(places, (Some(gap), Some(held)) if gap < held), "{last:?}");
}
