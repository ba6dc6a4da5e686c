use std::collections::VecDeque;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use super::*;
use crate::agent::history::cursor::HistoryCursor;
use crate::agent::history::room::RoomHistory;
use crate::agent::history::state::{MAX_HELD, MAX_HELD_BYTES};
use crate::model::Message;
use crate::socket::RawEvent;

fn json(id: &str) -> serde_json::Value {
    serde_json::json!({
        "id": id, "agency_id": "a", "content": id, "created_at": "2026-01-01T12:00:00.000Z",
    })
}

fn message(id: &str) -> Message {
    serde_json::from_value(json(id)).unwrap()
}

fn event(id: &str) -> Item {
    let frame = tungstenite::Utf8Bytes::from(format!("[\"message\",{}]", json(id)));
    Item::Event(RawEvent::new(&frame, frame.as_str(), None, Vec::new()).unwrap())
}

fn connected() -> Item {
    Item::Connected { attempt: 1, recovered: false, again: true }
}

/// A delivery with one room. The agent listens from the start of the room's history.
fn delivery() -> Delivery {
    let delivery = Delivery::new(Arc::default(), SessionLog::new("@test"), None);
    let mut cursor = HistoryCursor::new(false);
    cursor.begin_after(&[], true);
    delivery.lock().rooms.insert("a".into(), RoomHistory::new(cursor));
    delivery
}

/// Takes all events and returns the ids of the messages.
fn take_all(delivery: &Delivery, queue: &mut VecDeque<Item>) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(event) = delivery.lock().next(&mut || queue.pop_front(), &mut |_| {}) {
        if let Event::Message(message) = event {
            ids.push(message.id.to_string());
        }
    }
    ids
}

#[test]
fn what_a_held_up_consumer_has_taken_is_heard_before_anything_behind_it() {
    let delivery = delivery();
    let queue = Mutex::new(VecDeque::from([event("m1"), connected(), Item::Restored, event("m3")]));
    let (taken, is_taken) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let may_go_on = may_go_on;
            let mut take = || {
                let item = queue.lock().unwrap().pop_front();
                taken.send(()).unwrap();
                may_go_on.recv().unwrap();
                item
            };
            delivery.lock().next(&mut take, &mut |_| {})
        });
        // One consumer has taken the first message and has not handled it.
        is_taken.recv().unwrap();
        let (done, is_done) = mpsc::channel();
        let quick = scope.spawn(|| {
            let done = done;
            let ids = take_all(&delivery, &mut queue.lock().unwrap());
            done.send(()).unwrap();
            ids
        });
        assert!(is_done.recv_timeout(Duration::from_millis(50)).is_err(), "it must not overtake");
        go_on.send(()).unwrap();
        let Some(Event::Message(first)) = slow.join().unwrap() else { panic!("no message") };
        assert_eq!(first.id, "m1");
        assert_eq!(quick.join().unwrap(), Vec::<String>::new(), "m3 waits for the history");
    });
    // The gap starts after the message of the slow consumer.
    delivery.lock().helpers = 1;
    let job = delivery.shared.next_job().unwrap();
    let lookback = job.lookback.as_ref().unwrap().clone();
    let page = ["m3", "m2", "m1"].map(message).to_vec();
    let (missed, _) = delivery.shared.classify_page(&job, page, &lookback).unwrap();
    assert_eq!(missed.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), ["m3", "m2"]);
    delivery.shared.merge(&job, missed.into_iter().rev().collect()).unwrap();
    delivery.shared.finish(&job, None);
    assert_eq!(take_all(&delivery, &mut VecDeque::new()), ["m2", "m3"]);
}

#[test]
fn a_history_and_what_came_live_make_one_story() {
    // Tests all ways to divide ten messages into live messages and messages that only the history has.
    for live in 0..1_u32 << 10 {
        let is_live = |n: u32| live & 1 << n != 0;
        let delivery = delivery();
        let mut queue: VecDeque<Item> = [connected(), Item::Restored].into();
        queue.extend((0..10).filter(|n| is_live(*n)).map(|n| event(&n.to_string())));
        // The live messages arrive twice.
        queue.extend((0..10).filter(|n| is_live(*n)).map(|n| event(&n.to_string())));
        assert!(take_all(&delivery, &mut queue).is_empty());
        delivery.lock().helpers = 1;
        let job = delivery.shared.next_job().unwrap();
        let page = 1 + live as usize % 4;
        // The last two messages are not in the history yet.
        let history: Vec<_> = (0..8).map(|n| message(&n.to_string())).collect();
        for part in history.chunks(page) {
            delivery.shared.merge(&job, part.to_vec()).unwrap();
        }
        delivery.shared.finish(&job, None);
        let heard = take_all(&delivery, &mut VecDeque::new());
        let expected: Vec<_> = (0..10).filter(|n| *n < 8 || is_live(*n)).map(|n| n.to_string()).collect();
        assert_eq!(heard, expected, "{live:b}");
        let state = delivery.lock();
        assert_eq!((state.held, state.held_bytes, state.ready_bytes), (0, 0, 0));
    }
}

/// The message came live between two losses. Then the message was deleted, or cannot be decoded in the history.
#[test]
fn a_held_message_without_a_place_in_the_history_keeps_its_place() {
    let at = |id: &str, second: u32| {
        let mut json = json(id);
        json["created_at"] = format!("2026-01-01T12:00:{second:02}.000Z").into();
        json
    };
    let live = |id: &str, second| {
        let frame = tungstenite::Utf8Bytes::from(format!("[\"message\",{}]", at(id, second)));
        Item::Event(RawEvent::new(&frame, frame.as_str(), None, Vec::new()).unwrap())
    };
    let delivery = delivery();
    let mut queue: VecDeque<Item> = [
        connected(),
        Item::Restored,
        live("m2", 2),
        connected(),
        Item::Restored,
        // This message comes after the history, but a slow clock stamped it.
        live("m4", 0),
    ]
    .into();
    assert!(take_all(&delivery, &mut queue).is_empty());
    delivery.lock().helpers = 1;
    let job = delivery.shared.next_job().unwrap();
    let lookback = job.lookback.as_ref().unwrap().clone();
    let page = [at("m3", 3), at("m1", 1)].map(|json| serde_json::from_value(json).unwrap()).to_vec();
    let (missed, _) = delivery.shared.classify_page(&job, page, &lookback).unwrap();
    delivery.shared.merge(&job, missed.into_iter().rev().collect()).unwrap();
    delivery.shared.finish(&job, None);
    assert_eq!(take_all(&delivery, &mut VecDeque::new()), ["m1", "m2", "m3", "m4"]);
}

/// The older pages of the history cannot be read. The live message is older than the page that was read.
#[test]
fn a_partial_history_comes_after_older_live_messages() {
    let at = |id: &str, second: u32| {
        let mut json = json(id);
        json["created_at"] = format!("2026-01-01T12:00:{second:02}.000Z").into();
        json
    };
    let frame = tungstenite::Utf8Bytes::from(format!("[\"message\",{}]", at("m2", 2)));
    let live = || Item::Event(RawEvent::new(&frame, frame.as_str(), None, Vec::new()).unwrap());
    // The message is held already, or still in the queue of the session.
    for is_held in [true, false] {
        let delivery = delivery();
        let mut queue: VecDeque<Item> = [connected(), Item::Restored].into();
        queue.extend(is_held.then(live));
        assert!(take_all(&delivery, &mut queue).is_empty());
        queue.extend((!is_held).then(live));
        delivery.lock().helpers = 1;
        let job = delivery.shared.next_job().unwrap();
        let lookback = job.lookback.as_ref().unwrap().clone();
        let page = vec![serde_json::from_value(at("m4", 4)).unwrap()];
        let (missed, _) = delivery.shared.classify_page(&job, page, &lookback).unwrap();
        thread::scope(|scope| {
            let helper = scope.spawn(|| {
                let shared = &delivery.shared;
                shared.wait_for_consumers(&job).unwrap();
                shared.merge(&job, missed).unwrap();
                shared.finish(&job, None);
            });
            // The consumer takes nothing before the helper waits.
            while delivery.lock().waiting == 0 && !helper.is_finished() {
                thread::yield_now();
            }
            let mut heard = Vec::new();
            while !helper.is_finished() {
                heard.extend(take_all(&delivery, &mut queue));
                delivery.shared.notify_helpers();
                thread::yield_now();
            }
            heard.extend(take_all(&delivery, &mut queue));
            assert_eq!(heard, ["m2", "m4"], "held: {is_held}");
        });
    }
}

#[test]
fn a_gap_that_takes_too_long_is_reported_and_its_room_released() {
    let delivery = delivery();
    let mut queue: VecDeque<Item> = [connected(), Item::Restored, event("m2")].into();
    assert!(take_all(&delivery, &mut queue).is_empty());
    delivery.lock().helpers = 1;
    let job = delivery.shared.next_job().unwrap();
    if let Some(gap) = delivery.lock().rooms.get_mut("a").and_then(|room| room.gap.as_mut()) {
        gap.deadline = Some(Instant::now());
    }
    delivery.lock().find_deadline();
    let mut events = Vec::new();
    while let Some(event) = delivery.lock().next(&mut || None, &mut |_| {}) {
        events.push(event);
    }
    assert!(matches!(&*events, [Event::GapNotFilled { .. }, Event::Message(_)]), "{events:?}");
    // The result of a helper that finishes too late changes nothing.
    assert!(delivery.shared.merge(&job, vec![message("m1")]).is_err());
    delivery.shared.finish(&job, None);
    assert_eq!(delivery.lock().abandoned, 0);
    assert!(take_all(&delivery, &mut VecDeque::new()).is_empty());
}

#[test]
fn rooms_that_the_server_makes_up_are_not_kept() {
    let delivery = delivery();
    let mut queue: VecDeque<Item> = (0..1000)
        .map(|n| {
            let text = format!("[\"message\",{}]", json("m")).replace("\"a\"", &format!("\"room {n}\""));
            let frame = tungstenite::Utf8Bytes::from(text);
            Item::Event(RawEvent::new(&frame, frame.as_str(), None, Vec::new()).unwrap())
        })
        .collect();
    assert_eq!(take_all(&delivery, &mut queue).len(), 1000);
    assert_eq!(delivery.lock().rooms.len(), 1);
}

#[test]
fn what_is_held_is_bounded_and_what_goes_is_read_again() {
    let delivery = delivery();
    let mut queue: VecDeque<Item> = [connected(), Item::Restored].into();
    assert!(take_all(&delivery, &mut queue).is_empty());
    // A busy machine may need longer than the gap may stay open.
    delivery.lock().deadline = None;
    queue.extend((0..MAX_HELD + 10).map(|n| event(&format!("m{n}"))));
    assert!(take_all(&delivery, &mut queue).is_empty());
    let state = delivery.lock();
    assert_eq!(state.held, MAX_HELD);
    assert!(state.held_bytes <= MAX_HELD_BYTES);
    let gap = state.rooms["a"].gap.as_ref().unwrap();
    assert!(gap.again, "the history is read to its end");
}

#[test]
fn a_gap_waits_until_it_is_known_where_the_story_begins() {
    let delivery = delivery();
    assert!(delivery.add_room(&"b".into(), false));
    assert!(delivery.add_room(&"b".into(), false), "each of two that join at once has to know");
    let mut queue: VecDeque<Item> = [connected(), Item::Restored].into();
    assert!(take_all(&delivery, &mut queue).is_empty());
    let mut state = delivery.lock();
    assert_eq!(state.jobs, ["a"].map(AgencyId::from));
    let room = state.rooms.get_mut("b").unwrap();
    room.cursor.begin_after(&[], true);
    room.has_baseline = true;
    state.ask_for_helper(&"b".into());
    assert_eq!(state.jobs, ["a", "b"].map(AgencyId::from));
    drop(state);
    assert!(!delivery.add_room(&"b".into(), false));
}
