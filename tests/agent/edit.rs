//! Confirmed edits, and messages that are edited continuously.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::common::{
    Conn, SOON, ScriptedServer, TestSandbox, eventually, scripted, wait_for, wait_for_message, watchdog,
};
use crustocean::{Agent, ErrorKind, Event, Outgoing, Room};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

fn room_of(agent: &Agent) -> Room {
    agent.rooms().remove(0)
}

/// The text of a message in the room's history.
fn content(sandbox: &TestSandbox, message: &crustocean::MessageId) -> String {
    let history = sandbox.client().agencies().messages(&sandbox.lobby_id().into()).send().unwrap();
    history.into_iter().find(|one| one.id == *message).unwrap().content
}

fn edits(sandbox: &TestSandbox) -> Vec<String> {
    let sent = sandbox.events().into_iter().filter(|(name, _)| name == "edit-message");
    sent.map(|(_, payload)| payload["content"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_confirmed_edit_is_in_the_room_when_it_returns() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    sandbox.add_agency("Elsewhere", &sandbox.alice.id).unwrap();
    let larry = sandbox.in_lobby("larry");
    let room = room_of(&larry);
    let mine = room.post(Outgoing::new("draft").skill("writing")).unwrap().first;
    // The edit does not depend on the home room.
    larry.join("elsewhere").unwrap();
    let edited = room.post_edit(&mine.id, " final\n").unwrap();
    assert_eq!((&edited.message_id, edited.content.as_str()), (&mine.id, "final"));
    assert_eq!((edited.metadata.skill().as_deref(), edited.edited_at.is_some()), (Some("writing"), true));
    assert_eq!(content(&sandbox, &mine.id), "final");
    assert_eq!(larry.post_edit(&mine, "really final").unwrap().content, "really final");

    assert_eq!(room.post_edit(&mine.id, "  ").unwrap_err().kind(), ErrorKind::Invalid);
    sandbox.alice_says("hers");
    let events = larry.events();
    let hers = wait_for_message(&events, "hers");
    let error = larry.post_edit(&hers, "his").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(error.server_message(), Some("You can only edit your own messages"));
}

#[test]
fn edits_of_several_threads_each_get_their_own_echo() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let room = room_of(&sandbox.in_lobby("larry"));
    let mine = room.post("0").unwrap().first;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (room, mine) = (&room, &mine);
            scope.spawn(move || {
                for n in 0..10 {
                    let text = format!("{thread}-{n}");
                    assert_eq!(room.post_edit(&mine.id, &text).unwrap().content, text);
                }
            });
        }
    });
}

#[test]
fn an_edit_whose_text_the_server_changes_is_confirmed() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::with(Sandbox::builder().truncate_content(10));
    let room = room_of(&sandbox.in_lobby("larry"));
    let mine = room.post("short").unwrap().first;
    assert_eq!(room.post_edit(&mine.id, "a text that is too long").unwrap().content, "a text tha");
}

/// Accepts the join, and answers the post of a message with the id `m1`.
fn post(conn: &mut Conn) {
    conn.handshake();
    conn.accept_join();
    conn.echo_message("m1");
}

fn echo(conn: &mut Conn, id: &str, edit: &Value) {
    conn.send_event("message-edited", json!({"messageId": id, "content": edit, "metadata": {}}));
}

#[test]
fn an_edit_lost_with_the_connection_is_sent_again() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        if conn.index == 0 {
            post(conn);
            conn.expect_event("edit-message");
            return;
        }
        conn.handshake();
        conn.accept_join();
        let edit = conn.expect_event("edit-message");
        assert_eq!(edit, json!({"agencyId": "ag-1", "messageId": "m1", "content": "new"}));
        echo(conn, "m0", &json!("new"));
        echo(conn, "m1", &json!("somebody else's"));
        echo(conn, "m1", &edit["content"]);
        conn.expect_event("edit-message");
        echo(conn, "m1", &json!("****"));
        conn.expect_event("edit-message");
        conn.recv(SOON);
    });
    let agent = Agent::builder().api_url(server.url()).post_timeout(Duration::from_secs(3));
    let agent = agent.connect("sk_x".parse().unwrap()).unwrap();
    let room = agent.join("lobby").unwrap();
    let mine = room.post("old").unwrap().first;
    assert_eq!(room.post_edit(&mine.id, "new").unwrap().content, "new");
    // The room shows the text as the server changed it.
    assert_eq!(room.post_edit(&mine.id, "a rude word").unwrap().content, "****");
    assert!(room.post_edit(&mine.id, "silence").unwrap_err().is_timeout());
}

#[test]
fn an_editor_keeps_to_its_rate_and_ends_with_the_last_text() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let room = room_of(&sandbox.in_lobby("larry"));
    let interval = Duration::from_millis(100);
    let mut line = room.editor(Outgoing::new("0 %").skill("work")).unwrap().every(interval);
    let id = line.message().id.clone();
    let began = Instant::now();
    let mut set = 0;
    while began.elapsed() < Duration::from_millis(450) {
        set += 1;
        line.set(format!("{set} steps")).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    let most = began.elapsed().as_millis() / interval.as_millis();
    let edited = line.finish("100 %").unwrap();
    assert_eq!((edited.content.as_str(), edited.metadata.skill().as_deref()), ("100 %", Some("work")));
    assert_eq!(content(&sandbox, &id), "100 %");
    let edits = edits(&sandbox);
    assert!(edits.len() >= 2 && edits.len() as u128 <= most + 2, "{} of {set}", edits.len());
    let sent = sandbox.wait_for_events("send-message", 1, SOON);
    assert_eq!(sent[0]["content"], "0 %");
}

#[test]
fn waiting_text_is_sent_by_flush_or_when_the_editor_is_dropped() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let room = room_of(&sandbox.in_lobby("larry"));
    let mut line = room.editor("zero").unwrap().every(Duration::from_secs(3600));
    let id = line.message().id.clone();
    line.set("one").unwrap();
    line.set("two").unwrap();
    line.flush().unwrap();
    line.flush().unwrap();
    eventually("the flushed text", || content(&sandbox, &id) == "two");
    line.set("three").unwrap();
    line.set("two").unwrap(); // the same text again: nothing to send
    line.flush().unwrap();
    line.set("four").unwrap();
    line.set("five").unwrap();
    drop(line);
    eventually("the last text", || content(&sandbox, &id) == "five");
    assert_eq!(edits(&sandbox), ["two", "five"]);

    // An editor that is dropped after an error.
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let mut line = room.editor("begun").unwrap();
        line.set("half way").unwrap();
        panic!("on purpose");
    }));
    failed.unwrap_err();
    eventually("the last words", || edits(&sandbox).last().is_some_and(|text| text == "half way"));
    assert_eq!(room.editor("  ").unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn an_editor_never_waits_for_a_lost_connection_and_goes_on_after_it() {
    let _watchdog = watchdog(LIMIT);
    let (let_in, door) = mpsc::channel();
    let door = Mutex::new(door);
    let server = ScriptedServer::start(move |conn| {
        if conn.index == 0 {
            post(conn);
            return;
        }
        door.lock().unwrap().recv_timeout(SOON).unwrap();
        conn.handshake();
        conn.accept_join();
        let edit = conn.expect_event("edit-message");
        assert_eq!(edit["content"], "two");
        let last = conn.expect_event("edit-message");
        assert_eq!(last["content"], "three");
        echo(conn, "m1", &last["content"]);
        conn.recv(SOON);
    });
    let agent = scripted(&server);
    let room = agent.join("lobby").unwrap();
    let mut line = room.editor("zero").unwrap().every(Duration::ZERO);
    wait_for(&agent.events(), "the loss", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    line.set("one").unwrap();
    line.set("two").unwrap();
    let_in.send(()).unwrap();
    line.flush().unwrap();
    assert_eq!(line.finish("three").unwrap().content, "three");
}

#[test]
fn text_that_may_be_lost_with_the_connection_is_sent_again_at_the_end() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        if conn.index == 0 {
            post(conn);
            assert_eq!(conn.expect_event("edit-message")["content"], "one");
            return;
        }
        conn.handshake();
        conn.accept_join();
        assert_eq!(conn.expect_event("edit-message")["content"], "one");
        // The edit is sent only once.
        assert_eq!(conn.expect_event("send-message")["content"], "over");
    });
    let agent = scripted(&server);
    let room = agent.join("lobby").unwrap();
    let mut line = room.editor("zero").unwrap().every(Duration::ZERO);
    line.set("one").unwrap();
    wait_for(&agent.events(), "the loss", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    eventually("the agent is back", || agent.is_connected());
    drop(line);
    room.send("over").unwrap();
    server.finish(SOON);
}
