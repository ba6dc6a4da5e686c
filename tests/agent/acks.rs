//! Acks in both directions: requested by the agent, and by the server.

use std::time::{Duration, Instant};

use crate::common::{SOON, ScriptedServer, TestSandbox, scripted, wait_for, watchdog};
use crustocean::{ErrorKind, Event};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_call_inside_a_handler_gets_its_answer() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let events = agent.events();
    for n in 0..20 {
        sandbox.alice_says(&format!("number {n}"));
    }
    let mut handled = 0;
    while handled < 20 {
        if let Event::Message(message) = events.recv_timeout(SOON).unwrap() {
            let command = json!({"agencyId": message.agency_id, "content": "/echo hi", "silent": true});
            let ack = agent.raw().call("send-message", &command, SOON).unwrap();
            assert_eq!((&ack["ok"], &ack["content"]), (&json!(true), &json!("hi")), "{ack}");
            handled += 1;
        }
    }
}

#[test]
fn every_call_returns_exactly_once_within_its_limit() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        if conn.index > 0 {
            conn.recv(SOON);
            return;
        }
        // Ids count up from 1 and are never reused.
        conn.expect_text(r#"421["q",1]"#);
        conn.send_text(r#"431["one",2,3]"#);
        conn.send_text(r#"431["again"]"#);
        conn.expect_text(r#"422["q",2]"#);
        conn.send_text("432[]");
        conn.expect_text(r#"423["q",3]"#);
        conn.send_text("433");
        conn.expect_text(r#"424["q",4]"#);
        conn.send_text("434[false]");
        // The agent does not answer this event.
        conn.expect_text(r#"425["q",5]"#);
        conn.expect_text(r#"426["q",6]"#);
        conn.send_text("435[\"too late\"]");
        conn.send_text("4399[\"nobody asked\"]");
        // The connection breaks before the answer.
    });
    let agent = scripted(&server);
    let ask = |n: u32, limit| agent.raw().call("q", &n, limit);
    assert_eq!(ask(1, SOON).unwrap(), json!("one"));
    assert_eq!(ask(2, SOON).unwrap(), Value::Null);
    assert_eq!(ask(3, SOON).unwrap(), Value::Null);
    assert_eq!(ask(4, SOON).unwrap(), json!(false));
    let started = Instant::now();
    assert!(ask(5, Duration::from_millis(200)).unwrap_err().is_timeout());
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(ask(6, SOON).unwrap_err().kind(), ErrorKind::MaybeSent);
}

#[test]
fn many_threads_each_get_their_own_answer() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        for _ in 0..400 {
            let text = conn.next_text("a question");
            let text = text.strip_prefix("42").unwrap();
            let (id, rest) = text.split_once('[').unwrap();
            let (_, n) = rest.trim_end_matches(']').split_once(',').unwrap();
            conn.send_text(format!("43{id}[{n}]"));
        }
        conn.recv(SOON);
    });
    let agent = scripted(&server);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let agent = &agent;
            scope.spawn(move || {
                for n in 0..100 {
                    let n = thread * 100 + n;
                    assert_eq!(agent.raw().call("q", &n, SOON).unwrap(), json!(n));
                }
            });
        }
    });
}

#[test]
fn the_server_gets_one_answer_on_the_connection_it_asked_on() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        if conn.index == 0 {
            conn.send_text(r#"421["test","foo"]"#);
            conn.expect_text(r#"431["oof"]"#);
            conn.send_text(r#"422["test","bar"]"#);
            return;
        }
        conn.send_text(r#"42["test","plain"]"#);
        assert_eq!(conn.recv_text(Duration::from_millis(300)), None, "no stale answer");
    });
    let agent = scripted(&server);
    let events = agent.events();
    let next = || {
        wait_for(&events, "test", |event| match event {
            Event::Other(raw) => Some(raw),
            _ => None,
        })
    };
    let first = next();
    assert!(first.wants_answer());
    agent.raw().answer(&first, &"oof").unwrap();
    assert!(!first.wants_answer());
    assert_eq!(agent.raw().answer(&first.clone(), &"oof").unwrap_err().kind(), ErrorKind::Invalid);
    let second = next();
    let third = next();
    assert!(!third.wants_answer());
    assert_eq!(agent.raw().answer(&third, &1).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(agent.raw().answer(&second, &"rab").unwrap_err().kind(), ErrorKind::NotSent);
    server.finish(SOON);
}
