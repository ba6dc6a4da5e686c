//! Protection of a developer's machine: against pages of other sites, webhooks into the network, and full memory.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::common::receiver::Receiver;
use crate::common::{PATIENCE, Socket, agent_session, call, post, text};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

/// The status of a request with these headers.
fn status(sandbox: &Sandbox, request: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", sandbox.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer}")).parse().unwrap()
}

#[test]
fn pages_of_other_sites_are_refused_on_every_path() {
    let sandbox = Sandbox::builder().allow_host("sandbox").start().unwrap();
    sandbox.add_user("alice").unwrap();
    let login = json!({ "username": "alice", "password": Sandbox::PASSWORD }).to_string();
    let log_in = |headers: &[(&str, &str)]| status(&sandbox, "POST /api/auth/login", headers, &login);
    let plain = ("Content-Type", "text/plain");
    let json = ("Content-Type", "application/json");

    // A foreign name that points to this machine, and a form of another site.
    assert_eq!(log_in(&[("Host", "evil.example"), ("Origin", "http://evil.example"), plain]), 403);
    assert_eq!(log_in(&[("Host", "localhost"), ("Origin", "https://evil.example"), plain]), 403);
    assert_eq!(log_in(&[("Host", "localhost"), ("Origin", "null"), json]), 403);
    for path in ["GET /metrics", "GET /_sandbox", "GET /socket.io/?EIO=4&transport=polling", "GET /nothing"] {
        assert_eq!(status(&sandbox, path, &[("Host", "evil.example")], ""), 403, "{path}");
        let foreign = [("Host", "localhost"), ("Origin", "http://evil.example")];
        assert_eq!(status(&sandbox, path, &foreign, ""), 403, "{path}");
    }
    let upgrade = [
        ("Host", "localhost"),
        ("Origin", "http://evil.example"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    assert_eq!(status(&sandbox, "GET /socket.io/?EIO=4&transport=websocket", &upgrade, ""), 403);

    // Origins on this machine, and allowed names.
    for host in ["localhost", "127.0.0.1:80", "[::1]", "sandbox:7777"] {
        assert_eq!(log_in(&[("Host", host), json]), 200, "{host}");
    }
    assert_eq!(log_in(&[("Host", "localhost"), ("Origin", "http://localhost:3000"), json]), 200);
}

#[test]
fn webhooks_stay_on_this_machine_and_cannot_inject_headers() {
    let sandbox = Sandbox::builder().webhook_timeout(Duration::from_secs(2)).start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let room = sandbox.add_agency("Lab", &alice.id).unwrap();
    let path = format!("/api/custom-commands/{room}/commands");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for bad in [
        format!("http://127.0.0.1:{port}/ HTTP/1.1\r\nX-Injected: yes\r\n\r\n"),
        format!("http://127.0.0.1:{port}/a b"),
        "http://".to_owned(),
        "javascript:alert(1)".to_owned(),
    ] {
        let wanted = json!({ "name": "go", "webhook_url": bad });
        assert_eq!(call(&sandbox, "POST", &path, &alice.token, wanted).status, 400, "{bad:?}");
    }
    let mut socket = Socket::join(&sandbox, &alice.token, &room);
    let mut ask = |name: &str, url: &str| {
        post(&sandbox, &path, &alice.token, json!({ "name": name, "webhook_url": url }));
        socket.ask(json!({ "agencyId": room, "content": format!("/{name}"), "silent": true }))
    };
    // Nobody owns TEST-NET-1 (RFC 5737). The answer comes at once, because nothing is sent.
    for (name, url) in [("far", "http://192.0.2.1/"), ("trick", "http://127.0.0.1@192.0.2.1/")] {
        let answer = ask(name, url);
        assert_eq!(answer["ok"], false);
        assert!(text(&answer["content"]).contains("--allow-webhooks-to 192.0.2.1"), "{answer}");
    }
    let near = Receiver::start();
    near.answer(200, json!({ "content": "hi" }), Duration::ZERO);
    assert_eq!(ask("near", &near.url)["content"], "hi");
}

#[test]
fn records_and_histories_stay_bounded_under_a_flood() {
    let sandbox = Sandbox::builder().max_messages(50).start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let bot = sandbox.add_agent("mybot", &alice.id).unwrap();
    let lobby = sandbox.lobby_id();
    let mut socket = Socket::join(&sandbox, &agent_session(&sandbox, &bot.token), &lobby);
    let large = "x".repeat(900_000);
    for n in 0..20 {
        socket.emit("send-message", json!({ "agencyId": lobby, "content": format!("{n} {large}") }));
        socket.wait("message");
    }
    let kept: usize = sandbox.events().iter().map(|(_, payload)| payload.to_string().len()).sum();
    assert!(kept <= 16 * 1024 * 1024 && kept > 8 * 1024 * 1024, "{kept}");
    let history: usize = sandbox.messages(&lobby).iter().map(|message| message.content.len()).sum();
    assert!(history <= 16 * 1024 * 1024 && history > 8 * 1024 * 1024, "{history}");
    assert!(sandbox.messages(&lobby).last().unwrap().content.starts_with("19 "));

    for n in 0..120 {
        sandbox.say(&lobby, &alice.id, &n.to_string(), Value::Null).unwrap();
    }
    let messages = sandbox.messages(&lobby);
    assert_eq!((messages.len(), messages[0].content.as_str()), (50, "70"));
}

#[test]
fn waiting_twice_returns_two_events() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let lobby = sandbox.lobby_id();
    let mut socket = Socket::join(&sandbox, &alice.token, &lobby);
    for content in ["one", "two"] {
        socket.emit("send-message", json!({ "agencyId": lobby, "content": content }));
    }
    let said = || sandbox.wait_for_event("send-message", PATIENCE).map(|event| text(&event["content"]));
    assert_eq!((said().as_deref(), said().as_deref()), (Some("one"), Some("two")));
    assert_eq!(sandbox.wait_for_event("send-message", Duration::from_millis(20)), None);
}
