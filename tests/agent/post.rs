//! `post`: a send that waits until the room shows the message.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{Response, SOON, ScriptedServer, TestSandbox, scripted, watchdog};
use crustocean::{Agent, ErrorKind, Outgoing};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn post_returns_the_message_as_the_room_has_it() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, ben) = (sandbox.in_lobby("larry"), sandbox.in_lobby("ben"));
    let room = larry.rooms().remove(0);
    let posted = room.post(Outgoing::new("  hello ").with("skill", "greeter")).unwrap().first;
    assert_eq!((posted.content.as_str(), posted.sender_username.as_str()), ("hello", "larry"));
    assert_eq!(posted.metadata.get("skill"), Some(json!("greeter")));
    room.edit(&posted.id, "hello again").unwrap();
    let history = sandbox.client().agencies().messages(room.id()).send().unwrap();
    assert!(history.iter().any(|message| message.id == posted.id));

    // All agents send the same text at the same time. Each gets its own message.
    let ids: Vec<_> = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..8)
            .map(|n| {
                let agent = if n % 2 == 0 { &larry } else { &ben };
                scope.spawn(move || agent.post("the same").unwrap())
            })
            .collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    let distinct: std::collections::HashSet<_> = ids.iter().map(|posted| &posted.first.id).collect();
    assert_eq!(distinct.len(), 8);
    for (n, message) in ids.iter().enumerate() {
        assert_eq!(message.first.sender_username, if n % 2 == 0 { "larry" } else { "ben" });
    }
}

fn mark(sent: &Value) -> Value {
    sent["metadata"]["post_id"].clone()
}

fn message(id: &str, sender: &str, content: &str, mark: &Value) -> Value {
    json!({"id": id, "agency_id": "ag-1", "content": content, "sender_id": sender, "sender_username": sender,
        "created_at": "2026-01-01T00:00:05.000Z", "metadata": {"post_id": mark}})
}

fn in_room(server: &ScriptedServer) -> Agent {
    let agent = scripted(server);
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    agent
}

#[test]
fn the_confirmation_is_the_agents_own_message_even_with_changed_text() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        let mark = mark(&conn.expect_event("send-message"));
        conn.send_event("message", message("m1", "agent-2", "a long text", &json!(null)));
        conn.send_event("message", message("m2", "agent-2", "a long text", &mark));
        conn.send_event("message", message("m3", "agent-1", "a long text", &json!("another post")));
        conn.send_event("message", message("m4", "agent-1", "a long…", &mark));
        conn.recv(SOON);
    });
    let agent = in_room(&server);
    let posted = agent.post("a long text").unwrap().first;
    assert_eq!((posted.id.as_str(), posted.content.as_str()), ("m4", "a long…"));
}

#[test]
fn without_metadata_the_confirmation_is_found_by_the_text() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        conn.expect_event("send-message");
        let mut echo = message("m1", "agent-1", "plain", &json!(null));
        echo["metadata"] = json!("{}");
        conn.send_event("message", echo);
        conn.recv(SOON);
    });
    assert_eq!(in_room(&server).post("plain").unwrap().first.id.as_str(), "m1");
}

#[test]
fn the_confirmation_of_a_truncated_text_is_found() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::with(Sandbox::builder().truncate_content(10));
    let posted = sandbox.in_lobby("larry").post("a text that is too long").unwrap().first;
    assert_eq!(posted.content, "a text tha");

    // A server may also drop the metadata. Once the crate knows that, it does not wait for a better match.
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        for n in 0..2 {
            let sent = conn.expect_event("send-message");
            let cut: String = sent["content"].as_str().unwrap().chars().take(300).collect();
            let mut echo = message(&format!("m{n}"), "agent-1", &format!("{cut}…(truncated)"), &json!(null));
            echo["metadata"] = json!({"trace": []});
            conn.send_event("message", echo);
        }
        conn.recv(SOON);
    });
    let agent = in_room(&server);
    let text = "word ".repeat(100);
    assert_eq!(agent.post(&text).unwrap().first.id.as_str(), "m0");
    assert_eq!(agent.post(&text).unwrap().first.id.as_str(), "m1");
}

#[test]
fn the_same_text_of_another_thread_is_not_the_confirmation() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        for n in 0..2 {
            let plain = conn.expect_event("send-message");
            assert_eq!(plain["metadata"], json!(null));
            let mark = mark(&conn.expect_event("send-message"));
            let mut echo = message("plain", "agent-1", "the same", &json!(null));
            echo["metadata"] = json!({});
            conn.send_event("message", echo);
            conn.send_event("message", message(&format!("posted-{n}"), "agent-1", "the same", &mark));
        }
        conn.recv(SOON);
    });
    let agent = in_room(&server);
    for expected in ["posted-0", "posted-1"] {
        agent.send("the same").unwrap();
        assert_eq!(agent.post("the same").unwrap().first.id.as_str(), expected);
    }
}

#[test]
fn an_error_event_of_the_server_is_the_result() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        conn.expect_event("send-message");
        conn.send_event("error", json!({"message": "You are muted"}));
        conn.recv(SOON);
    });
    let error = in_room(&server).post("hello").unwrap_err();
    assert_eq!((error.kind(), error.server_message()), (ErrorKind::Rejected, Some("You are muted")));
}

#[test]
fn no_confirmation_is_a_timeout() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.accept_join();
        conn.expect_event("send-message");
        conn.recv(SOON);
    });
    let agent = Agent::builder()
        .api_url(server.url())
        .post_timeout(Duration::from_millis(200))
        .connect("sk_x".parse().unwrap())
        .unwrap();
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    assert!(agent.post("hello").unwrap_err().is_timeout());
}

/// The connection breaks right after the server has read the message. `arrived` says whether the history has the
/// message, and `marked` whether it is there with its metadata.
fn breaking(arrived: bool, readable: bool, marked: bool) -> crustocean::Result<crustocean::Message> {
    let history: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&history);
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        conn.accept_join();
        if conn.index == 0 {
            let mark = mark(&conn.expect_event("send-message"));
            if arrived {
                let mut arrived = message("m1", "agent-1", "hello", &mark);
                if !marked {
                    arrived["metadata"] = json!("{}");
                }
                kept.lock().unwrap().push(arrived);
            }
            return;
        }
        conn.recv(SOON);
    });
    for path in ["/api/agencies/ag-1/messages", "/api/dm/ag-1/messages"] {
        let history = Arc::clone(&history);
        server.on("GET", path, move |_| {
            if readable {
                Response::json(200, history.lock().unwrap().iter().rev().cloned().collect())
            } else {
                Response::json(403, json!({"error": "No history for you"}))
            }
        });
    }
    let builder = Agent::builder().api_url(server.url()).post_timeout(Duration::from_millis(200));
    let agent = builder.connect("sk_x".parse().unwrap()).unwrap();
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    agent.post("hello").map(|posted| posted.first)
}

#[test]
fn after_a_connection_loss_the_history_decides() {
    let _watchdog = watchdog(LIMIT);
    assert_eq!(breaking(true, true, true).unwrap().id.as_str(), "m1");
    assert_eq!(breaking(true, true, false).unwrap().id.as_str(), "m1", "by its words");
    // The message is not in the history yet, or the history cannot be read. So the result is uncertain.
    for (arrived, readable) in [(false, true), (true, false)] {
        let error = breaking(arrived, readable, true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MaybeSent);
        assert!(!error.is_retryable() && error.unsent().unwrap().may_have_been_sent(), "{error}");
    }
}

#[test]
fn try_send_does_not_wait() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    agent.try_send("now").unwrap();
    sandbox.stop();
    crate::common::eventually("the loss is noticed", || !agent.is_connected());
    let started = std::time::Instant::now();
    let error = agent.try_send("now?").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent);
    assert!(
        error.to_string().starts_with("the connection is down: nothing was sent; send it again"),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}
