//! Slash commands and their results.

use std::time::{Duration, Instant};

use crate::common::{
    Conn, Response, SOON, ScriptedServer, TestSandbox, scripted, wait_for_message, watchdog,
};
use crustocean::{ErrorKind, Event, Room, model::MessageType};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_command_is_silent_unless_asked_otherwise() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, ben) = (sandbox.in_lobby("larry"), sandbox.in_lobby("ben"));
    let room = larry.rooms().remove(0);

    let quiet = room.command("  /echo for me\n").send().unwrap();
    assert_eq!((quiet.ok, quiet.command.as_str(), quiet.content.as_str()), (true, "echo", "for me"));
    assert_eq!((&quiet.kind, quiet.message_id), (&MessageType::System, None));
    assert!(!quiet.ephemeral && !quiet.queued && !quiet.pending);
    let loud = room.command("/echo for all").visible().send().unwrap();
    let shown = wait_for_message(&ben.events(), "for");
    assert_eq!((shown.content.as_str(), Some(&shown.id)), ("for all", loud.message_id.as_ref()));

    let lobby = sandbox.lobby_id();
    let sent = sandbox.wait_for_events("send-message", 2, SOON);
    assert_eq!(sent[0], json!({"agencyId": lobby, "content": "/echo for me", "silent": true}));
    assert_eq!(sent[1], json!({"agencyId": lobby, "content": "/echo for all", "silent": false}));
}

#[test]
fn a_failed_command_has_a_result_too() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let room = sandbox.in_lobby("larry").rooms().remove(0);
    let reply = room.command("/dance").send().unwrap();
    assert!(!reply.ok && reply.ephemeral, "{reply:?}");
    let error = reply.into_result().unwrap_err();
    assert_eq!(
        (error.kind(), error.server_message()),
        (ErrorKind::Rejected, Some("Unknown command: /dance"))
    );
    let help = room.command("/help").visible().send().unwrap().into_result().unwrap();
    assert!(help.ephemeral && help.content.contains("/echo"), "{help:?}");
}

#[test]
fn text_that_is_not_a_command_is_not_sent() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let room = sandbox.in_lobby("larry").rooms().remove(0);
    for text in ["", "help", "see /help", "/", "/ help"] {
        let error = room.command(text).send().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
        assert!(error.to_string().contains("begins with a slash"), "{error}");
    }
    room.command("/echo x").send().unwrap();
    assert_eq!(sandbox.wait_for_events("send-message", 1, SOON).len(), 1);
    assert_eq!(sandbox.events().iter().filter(|(name, _)| name == "send-message").count(), 1);
}

#[test]
fn the_late_answer_of_a_slow_command_is_waited_for() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let room = agent.rooms().remove(0);
    for command in [room.command("/slow 200 done at last"), room.command("/slow 200 done at last").visible()]
    {
        let reply = command.send().unwrap();
        assert_eq!((reply.content.as_str(), reply.pending), ("done at last", false));
        assert!(reply.message_id.is_some());
    }
    // A caller that does not wait gets the placeholder.
    for late in [Duration::ZERO, Duration::from_millis(50)] {
        let reply = room.command("/slow 20000 never mind").late(late).send().unwrap();
        assert!(reply.ok && reply.pending && reply.content.starts_with("[spinner"), "{reply:?}");
    }
    // The loop gets the same events as always.
    let events = agent.events();
    let edits =
        std::iter::from_fn(|| events.try_recv().ok()).filter(|e| matches!(e, Event::MessageEdited(_)));
    assert_eq!(edits.count(), 2);
}

/// The ack id and the payload of the next command.
fn next_command(conn: &mut Conn) -> (String, Value) {
    let text = conn.next_text("a command");
    let (id, json) = text.split_at(text.find('[').unwrap());
    let mut event: Value = serde_json::from_str(json).unwrap();
    assert_eq!(event[0], "send-message");
    (id.strip_prefix("42").unwrap().to_owned(), event[1].take())
}

fn answer(conn: &mut Conn, id: &str, reply: Value) {
    conn.send_text(format!("43{id}{}", json!([reply])));
}

fn edit(conn: &mut Conn, id: &str, content: &str) {
    conn.send_event(
        "message-edited",
        json!({"messageId": id, "content": content, "metadata": {"webhook": true}}),
    );
}

fn in_room(server: &ScriptedServer) -> Room {
    scripted(server).join("lobby").unwrap()
}

#[test]
fn the_edit_is_found_before_and_after_the_answer() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        let slow = |id: &str| json!({"ok": true, "command": "/x", "content": "<spinner>1</spinner>", "messageId": id});
        // The edit comes before the answer, together with it, or after other messages.
        let (id, _) = next_command(conn);
        edit(conn, "m1", "one");
        answer(conn, &id, slow("m1"));
        let (id, _) = next_command(conn);
        let both = format!("43{id}{}", json!([slow("m2")]));
        conn.send_text(both);
        edit(conn, "m2", "two");
        let (id, _) = next_command(conn);
        edit(conn, "m1", "another's");
        answer(conn, &id, slow("m3"));
        for n in 0..1500 {
            edit(conn, &format!("other-{n}"), "not this one");
        }
        edit(conn, "m3", "[spinner:half way]");
        edit(conn, "m3", "three");
        edit(conn, "m3", "three, corrected");
        // An answer without an id cannot be followed by an edit.
        let (id, _) = next_command(conn);
        answer(conn, &id, json!({"ok": true, "content": "[spinner]"}));
        conn.recv(SOON);
    });
    let room = in_room(&server);
    for expected in ["one", "two", "three"] {
        let reply = room.command("/x").send().unwrap();
        assert_eq!((reply.content.as_str(), reply.command.as_str(), reply.pending), (expected, "x", false));
        assert_eq!(reply.metadata.get("webhook"), Some(true.into()));
    }
    let started = Instant::now();
    assert!(room.command("/x").send().unwrap().pending);
    assert!(started.elapsed() < SOON / 2, "there is nothing to wait for");
}

#[test]
fn a_queued_command_reports_that_it_is_queued() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        let (id, payload) = next_command(conn);
        assert_eq!(payload, json!({"agencyId": "ag-1", "content": "/build", "silent": true}));
        answer(conn, &id, json!({"ok": true, "command": "build", "queued": true}));
        let (id, _) = next_command(conn);
        answer(conn, &id, json!(7));
        conn.recv(SOON);
    });
    let room = in_room(&server);
    let reply = room.command("/build").send().unwrap();
    assert!(reply.ok && reply.queued && reply.content.is_empty(), "{reply:?}");
    assert_eq!(room.command("/build").send().unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn an_answer_in_an_unusual_form_is_accepted() {
    let _watchdog = watchdog(LIMIT);
    let answers = [
        json!("done"),
        json!({"error": {"message": "No such command"}}),
        json!({"ok": false, "msg": "Not now"}),
    ];
    let sent = answers.clone();
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        conn.accept_join();
        for form in &sent {
            let (id, _) = next_command(conn);
            answer(conn, &id, form.clone());
        }
        conn.recv(SOON);
    });
    let room = in_room(&server);
    let replies =
        answers.map(|form| room.command("/build").send().map_err(|error| format!("{form}: {error}")));
    let replies = replies.map(|reply| reply.map(|reply| (reply.ok, reply.content)));
    let expected = [(true, "done"), (false, "No such command"), (false, "Not now")];
    assert_eq!(replies, expected.map(|(ok, content)| Ok((ok, content.to_owned()))));
}

#[test]
fn a_missing_answer_is_a_timeout_with_the_servers_error_event() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let room = sandbox.in_lobby("larry").rooms().remove(0);
    let limit = Duration::from_millis(200);
    let error = room.command("/hang").timeout(limit).send().unwrap_err();
    assert!(error.is_timeout() && error.server_message().is_none(), "{error}");

    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        next_command(conn);
        conn.send_event("error", json!({"message": "Slow down"}));
        conn.recv(SOON);
    });
    // Long enough for the error event to arrive.
    let limit = Duration::from_secs(2);
    let error = in_room(&server).command("/x").timeout(limit).send().unwrap_err();
    assert_eq!((error.is_timeout(), error.server_message()), (true, Some("Slow down")));
}

#[test]
fn a_command_ends_with_its_connection_and_is_not_repeated() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        let (id, payload) = next_command(conn);
        if conn.index == 0 {
            assert_eq!(payload["content"], "/first");
            return;
        }
        assert_eq!(payload["content"], "/second");
        answer(conn, &id, json!({"ok": true, "content": "here"}));
        conn.recv(SOON);
    });
    let room = in_room(&server);
    assert_eq!(room.command("/first").send().unwrap_err().kind(), ErrorKind::MaybeSent);
    assert_eq!(room.command("/second").send().unwrap().content, "here");
}

#[test]
fn an_edit_during_an_outage_is_found_in_the_history() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        if conn.index == 0 {
            let (id, _) = next_command(conn);
            answer(conn, &id, json!({"ok": true, "content": "[spinner:x]", "messageId": "m1"}));
            return;
        }
        conn.recv(SOON);
    });
    server.on("GET", "/api/agencies/ag-1/messages", |_| {
        let message = json!({"id": "m1", "agency_id": "ag-1", "content": "the end", "sender_id": "system",
            "created_at": "2026-01-01T00:00:05.000Z", "metadata": "{}"});
        Response::json(200, json!([message]))
    });
    let reply = in_room(&server).command("/x").visible().send().unwrap();
    assert_eq!((reply.content.as_str(), reply.pending), ("the end", false));
}

#[test]
fn many_commands_at_once_each_get_their_own_result() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let room = agent.rooms().remove(0);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let room = &room;
            scope.spawn(move || {
                for round in 0..10 {
                    let text = format!("{n}-{round}");
                    let reply = match n % 2 {
                        0 => room.command(format!("/echo {text}")).send(),
                        _ => room.command(format!("/slow 20 {text}")).send(),
                    };
                    assert_eq!(reply.unwrap().content, text);
                }
            });
        }
    });
}
