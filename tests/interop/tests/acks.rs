//! Acks in both directions: for slash commands, and requested by the server.

use std::thread;
use std::time::{Duration, Instant};

use crustocean::{Agent, ErrorKind, Event, agent::RawEvent};
use crustocean_interop::{AGENT, LOBBY, Server, Value, in_lobby, json, next, watchdog};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

/// Runs a silent slash command, whose result is only in the ack.
fn command(agent: &Agent, content: &str, timeout: Duration) -> crustocean::Result<Value> {
    agent.raw().call("send-message", &json!({"agencyId": LOBBY, "content": content, "silent": true}), timeout)
}

fn next_other(agent: &Agent, name: &str) -> RawEvent {
    next(&agent.events(), name, |event| match event {
        Event::Other(raw) if raw.name() == name => Some(raw.clone()),
        _ => None,
    })
}

#[test]
fn a_command_is_answered_by_its_ack() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let result = command(&agent, "/echo 10", SOON).unwrap();
    assert_eq!(result, json!({"ok": true, "command": "echo", "content": "10", "type": "system"}));
    assert_eq!(command(&agent, "/dance", SOON).unwrap()["ok"], json!(false));

    let sent = server.events("send-message");
    assert_eq!(sent[0]["args"], json!([{"agencyId": LOBBY, "content": "/echo 10", "silent": true}]));
    assert!(sent.iter().all(|entry| entry["ack"] == true));
    // The ids on the wire differ.
    let packets = server.log(&["packet"]);
    let asked = packets.iter().filter_map(|packet| packet["data"].as_str()?.split_once("[\"send-message\""));
    let ids: Vec<_> = asked.map(|(head, _)| head).collect();
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() > 1), "{ids:?}");
}

#[test]
fn a_slow_command_is_finished_by_an_edit() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let result = command(&agent, "/slow", SOON).unwrap();
    assert!(result["content"].as_str().unwrap().starts_with("<spinner"), "{result}");
    let edited = next(&agent.events(), "message-edited", |event| match event {
        Event::MessageEdited(edited) => Some(edited.clone()),
        _ => None,
    });
    assert_eq!(edited.message_id.as_str(), result["messageId"]);
    assert_eq!(edited.content, "done");
}

#[test]
fn each_answer_reaches_its_caller_in_any_order() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let started = Instant::now();
    thread::scope(|scope| {
        for n in 0..20 {
            let agent = &agent;
            // Later commands are answered sooner.
            let wait = 400 - 20 * n;
            scope.spawn(move || {
                let result = command(agent, &format!("/echo {wait}"), SOON).unwrap();
                assert_eq!(result["content"], wait.to_string());
            });
        }
    });
    assert!(started.elapsed() < Duration::from_secs(5), "one after the other: {:?}", started.elapsed());
}

#[test]
fn a_missing_ack_is_only_a_timeout() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let error = command(&agent, "/mute", Duration::from_millis(200)).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    // A late answer is ignored.
    assert!(command(&agent, "/echo 400", Duration::from_millis(100)).unwrap_err().is_timeout());
    assert_eq!(command(&agent, "/echo 600", SOON).unwrap()["content"], json!("600"));
    assert_eq!(server.log(&["connect"]).len(), 1);
}

#[test]
fn a_call_ends_with_its_connection() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let started = Instant::now();
    let error = thread::scope(|scope| {
        let call = scope.spawn(|| command(&agent, "/mute", SOON).unwrap_err());
        server.wait_events(SOON, 1, "send-message");
        server.cut();
        call.join().unwrap()
    });
    assert_eq!(error.kind(), ErrorKind::MaybeSent, "{error}");
    assert!(started.elapsed() < SOON / 2);
    // The next command waits for the connection. The first command is not sent twice.
    assert_eq!(command(&agent, "/echo 1", SOON).unwrap()["ok"], json!(true));
    let contents: Vec<_> =
        server.events("send-message").iter().map(|entry| entry.payload()["content"].to_string()).collect();
    assert_eq!(contents, ["\"/mute\"", "\"/echo 1\""]);
}

#[test]
fn the_server_gets_the_requested_answer() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let ask = |ack_ms: u64| json!({"cmd": "emit", "to": AGENT, "event": "question", "args": [{"is": "it"}], "ackMs": ack_ms});
    let answer = thread::scope(|scope| {
        let asking = scope.spawn(|| server.command(ask(5000)));
        let question = next_other(&agent, "question");
        assert!(question.wants_answer());
        assert_eq!(question.first::<Value>().unwrap(), json!({"is": "it"}));
        agent.raw().answer(&question, &json!({"it": "is"})).unwrap();
        assert_eq!(agent.raw().answer(&question, &json!(2)).unwrap_err().kind(), ErrorKind::Invalid);
        asking.join().unwrap()
    });
    assert_eq!(answer["ack"], json!({"it": "is"}));

    // An unanswered request changes nothing.
    let unanswered = std::panic::catch_unwind(|| server.command(ask(200))).unwrap_err();
    assert!(unanswered.downcast_ref::<String>().unwrap().contains("timed out"));
    next_other(&agent, "question");
    assert_eq!(server.log(&["connect"]).len(), 1);
}
