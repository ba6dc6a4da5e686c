//! Messages sent during an outage, or missed by a slow loop, arrive afterwards: in order, once, marked as replayed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::{
    Response, SOON, ScriptedServer, TestSandbox, eventually, scripted, wait_for, wait_for_message, watchdog,
};
use crustocean::{Agent, Event, Events, Message};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

/// All messages up to the one with the text `last`.
fn until(events: &Events, last: &str) -> Vec<Message> {
    let mut messages = Vec::new();
    wait_for(events, last, |event| {
        if let Event::Message(message) = event {
            let done = message.content == last;
            messages.push(message);
            return done.then_some(());
        }
        None
    });
    messages
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.content.as_str()).collect()
}

/// An agent that has heard a message of the lobby, and whose connection is lost now.
fn larry_loses_the_connection(sandbox: &TestSandbox) -> (Agent, Events) {
    let larry = sandbox.in_lobby("larry");
    let events = larry.events();
    sandbox.alice_says("before");
    wait_for_message(&events, "before");
    sandbox.drop_links();
    (larry, events)
}

#[test]
fn missed_messages_come_before_new_ones() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_larry, events) = larry_loses_the_connection(&sandbox);
    for n in 0..5 {
        sandbox.alice_says(&format!("meanwhile {n}"));
    }
    let heard = until(&events, "meanwhile 4");
    assert_eq!(texts(&heard), ["meanwhile 0", "meanwhile 1", "meanwhile 2", "meanwhile 3", "meanwhile 4"]);
    assert!(heard.iter().all(|message| message.replayed));
    sandbox.alice_says("after");
    let heard = until(&events, "after");
    assert!(heard.len() == 1 && !heard[0].replayed, "{heard:?}");
}

#[test]
fn quiet_rooms_and_direct_conversations_are_filled_too() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let quiet = sandbox.add_agency("Quiet", &sandbox.alice.id).unwrap();
    let lobby = sandbox.lobby_id();
    sandbox.alice_says("long ago");
    let larry = sandbox.connect("larry");
    let dm = sandbox.client().dms().open(&larry.user().id).unwrap();
    larry.join("quiet").unwrap();
    larry.join("lobby").unwrap();
    larry.join_dms().unwrap();
    let events = larry.events();
    sandbox.drop_links();
    for (room, text) in
        [(&quiet, "in the quiet room"), (&lobby, "in the lobby"), (&dm.to_string(), "in private")]
    {
        sandbox.say(room, &sandbox.alice.id, text, Value::Null).unwrap();
    }
    eventually("the link is lost", || !larry.is_connected());
    eventually("the link is back", || larry.is_connected());
    sandbox.alice_says("after");
    // Each room has its own clock.
    let mut heard = Vec::new();
    while heard.len() < 4 {
        heard.push(wait_for_message(&events, ""));
    }
    let place = |text| heard.iter().position(|message| message.content == text);
    assert!(place("in the lobby").unwrap() < place("after").unwrap());
    let mut said = texts(&heard);
    said.sort_unstable();
    assert_eq!(said, ["after", "in private", "in the lobby", "in the quiet room"]);
    assert!(heard.iter().find(|message| message.content == "in private").unwrap().dm);
}

#[test]
fn a_gap_of_several_pages_is_filled() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_larry, events) = larry_loses_the_connection(&sandbox);
    // Sent as fast as possible, so many have the same time.
    for n in 0..450 {
        sandbox.alice_says(&format!("number {n}"));
    }
    sandbox.alice_says("last");
    let heard = until(&events, "last");
    let expected: Vec<String> = (0..450).map(|n| format!("number {n}")).chain(["last".to_owned()]).collect();
    assert_eq!(texts(&heard), expected);
}

#[test]
fn a_message_edited_during_the_gap_has_its_new_text() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, ben) = (sandbox.in_lobby("larry"), sandbox.in_lobby("ben"));
    let events = larry.events();
    ben.send("heard").unwrap();
    let heard = wait_for_message(&ben.events(), "heard");
    wait_for_message(&events, "heard");

    sandbox.drop_links();
    sandbox.alice_says("meanwhile");
    eventually("both links are lost", || !larry.is_connected() && !ben.is_connected());
    // Ben may reconnect before or after Larry: the edit is in Larry's gap, or arrives live.
    ben.edit(&heard, "heard, and changed").unwrap();
    let edit = wait_for(&events, "the edit", |event| match event {
        Event::MessageEdited(edit) => Some(edit),
        _ => None,
    });
    assert_eq!((edit.message_id, edit.content.as_str()), (heard.id, "heard, and changed"));
}

#[test]
fn a_slow_loop_gets_the_messages_it_missed() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.builder().queue(50, usize::MAX).connect(sandbox.agent_token("larry")).unwrap();
    larry.join("lobby").unwrap();
    let events = larry.events();
    sandbox.alice_says("before");
    wait_for_message(&events, "before");
    for n in 0..300 {
        sandbox.alice_says(&format!("number {n}"));
    }
    // The handler is busy until all messages have reached the queue.
    let ben = sandbox.in_lobby("ben");
    ben.post("everything is said").unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    sandbox.alice_says("last");
    let mut lagged = 0;
    let mut heard = Vec::new();
    wait_for(&events, "last", |event| match event {
        Event::Lagged { missed, .. } => {
            lagged += missed;
            None
        }
        Event::Message(message) => {
            heard.push(message.content.clone());
            (message.content == "last").then_some(())
        }
        _ => None,
    });
    assert!(lagged > 0, "the queue is small");
    let mut expected: Vec<String> = (0..300).map(|n| format!("number {n}")).collect();
    expected.extend(["everything is said".to_owned(), "last".to_owned()]);
    assert_eq!(heard, expected);
}

#[test]
fn a_room_with_a_forbidden_history_reports_the_gap_and_goes_on() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        if conn.index == 0 {
            return;
        }
        let message =
            json!({"id": "m1", "agency_id": "ag-1", "content": "live", "created_at": "2026-01-01T00:00:00Z"});
        conn.send_event("message", message);
        conn.recv(SOON);
    });
    for path in ["/api/agencies/ag-1/messages", "/api/dm/ag-1/messages"] {
        server.on("GET", path, |_| Response::json(403, json!({"error": "No history for you"})));
    }
    let agent = scripted(&server);
    agent.join("lobby").unwrap();
    let events = agent.events();
    let (room, why) = wait_for(&events, "gap not filled", |event| match event {
        Event::GapNotFilled { agency_id, error, .. } => Some((agency_id, error.to_string())),
        _ => None,
    });
    assert_eq!(room.as_str(), "ag-1");
    assert!(why.contains("history"), "{why}");
    assert!(!wait_for_message(&events, "live").replayed);
}

#[test]
fn messages_with_the_same_time_are_distinguished() {
    let _watchdog = watchdog(LIMIT);
    static GAP: AtomicBool = AtomicBool::new(false);
    let message =
        |id: &str, time: &str| json!({"id": id, "agency_id": "ag-1", "content": id, "created_at": time});
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        conn.accept_join();
        if conn.index == 0 {
            conn.send_event("message", message("m1", "2026-01-01T00:00:01.000Z"));
            conn.recv_text(SOON);
            GAP.store(true, Ordering::SeqCst);
            return;
        }
        // This message arrives live, although the history has it, too.
        conn.send_event("message", message("m4", "2026-01-01T00:00:02.000Z"));
        conn.send_event("message", message("m5", "2026-01-01T00:00:02.000Z"));
        conn.recv(SOON);
    });
    server.on("GET", "/api/agencies/ag-1/messages", move |_| {
        if !GAP.load(Ordering::SeqCst) {
            return Response::json(200, json!([]));
        }
        let (early, late) = ("2026-01-01T00:00:01.000Z", "2026-01-01T00:00:02.000Z");
        let newest_first = [("m4", late), ("m3", late), ("m2", early), ("m1", early)];
        Response::json(200, newest_first.iter().map(|(id, time)| message(id, time)).collect())
    });
    let agent = scripted(&server);
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    let events = agent.events();
    wait_for_message(&events, "m1");
    agent.send("go on").unwrap();
    assert_eq!(texts(&until(&events, "m5")), ["m2", "m3", "m4", "m5"]);
}
