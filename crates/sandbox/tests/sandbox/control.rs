//! Control over HTTP: messages, faults, inspection, the feed.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, Socket, agent_session, call, get, post, text};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

/// Sends a form as `curl -d` does.
fn curl(sandbox: &Sandbox, path: &str, form: &str) -> (u16, Value) {
    let mut response = ureq::Agent::from(ureq::Agent::config_builder().http_status_as_error(false).build())
        .post(format!("{}/_sandbox/{path}", sandbox.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .send(form)
        .unwrap();
    let body = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&body).unwrap())
}

/// A reader of the feed.
struct Feed(BufReader<TcpStream>);

impl Feed {
    fn open(sandbox: &Sandbox, query: &str) -> Feed {
        let mut stream = TcpStream::connect(("127.0.0.1", sandbox.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /_sandbox/feed{query} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut feed = Feed(BufReader::new(stream));
        feed.line(": the sandbox");
        feed
    }

    fn line(&mut self, wanted: &str) -> String {
        let mut line = String::new();
        while !line.starts_with(wanted) {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the feed has ended before {wanted}");
        }
        line
    }

    /// The next entry of a kind.
    fn next(&mut self, kind: &str) -> Value {
        loop {
            let line = self.line("data: ");
            let entry: Value = serde_json::from_str(line.trim_start_matches("data: ")).unwrap();
            if entry["kind"] == kind {
                return entry;
            }
        }
    }
}

#[test]
fn curl_posts_messages_as_any_user() {
    let sandbox = Sandbox::builder().demo(true).start().unwrap();
    let (_, bot) = sandbox.demo().unwrap();
    let session = agent_session(&sandbox, &bot.token);
    let lobby = sandbox.lobby_id();
    let mut agent = Socket::join(&sandbox, &session, &lobby);

    let (status, said) = curl(&sandbox, "say", "text=%40mybot+hello&as=alice");
    assert_eq!((status, &said["message"]["sender_username"]), (200, &json!("alice")));
    assert_eq!(agent.wait("message")["content"], "@mybot hello");
    curl(&sandbox, "again", "");
    assert_eq!(agent.wait("message")["content"], "@mybot hello");
    let id = text(&said["id"]);
    curl(&sandbox, "edit", &format!("id={id}&text=hi"));
    assert_eq!(agent.wait("message-edited")["content"], "hi");
    assert_eq!(curl(&sandbox, "delete", &format!("id={id}")).0, 200);

    let (_, dm) = curl(&sandbox, "dm", "as=alice&to=mybot&text=psst");
    let room = text(&dm["message"]["agency_id"]);
    agent.emit("join-agency", json!({ "agencyId": room }));
    agent.wait("agency-joined");
    let (status, _) = curl(&sandbox, "say", "room=%40alice,%40mybot&as=alice&text=again");
    assert_eq!((status, agent.wait("message")["content"].as_str()), (200, Some("again")));
    let messages = get(&sandbox, "/_sandbox/messages?room=@mybot,@alice", "");
    assert_eq!(messages.as_array().unwrap().len(), 2);

    // The same as JSON, with metadata.
    let body = json!({ "room": "lobby", "as": "demo", "text": "look", "metadata": { "a": 1 } });
    assert_eq!(call(&sandbox, "POST", "/_sandbox/say", "", body).status, 200);
    assert_eq!(agent.wait("message")["metadata"], json!({ "a": 1 }));

    let made = curl(&sandbox, "agent", "name=second&owner=alice").1;
    agent_session(&sandbox, &text(&made["token"]));
    assert_eq!(curl(&sandbox, "room", "name=Lab&owner=alice").1["slug"], "lab");
    curl(&sandbox, "member", "room=lab&name=second&role=admin");
    let rooms = get(&sandbox, "/_sandbox/rooms", "");
    let lab = rooms.as_array().unwrap().iter().find(|room| room["slug"] == "lab").unwrap();
    assert_eq!(lab["members"][1]["role"], "admin");

    // Errors say what to do.
    for (path, form, says) in [
        ("say", "as=alice", "text is required"),
        ("say", "text=x&room=nowhere", "nowhere"),
        ("dm", "text=x&to=nobody", "no account with this name"),
        ("fault", "latncy=80ms", "slow-reader"),
        ("interrupt", "", "no such run"),
    ] {
        let (status, answer) = curl(&sandbox, path, form);
        assert!(status >= 400 && text(&answer["error"]).contains(says), "{path}: {answer}");
    }
}

#[test]
fn runs_are_shown_and_interrupted() {
    let sandbox = Sandbox::builder().demo(true).start().unwrap();
    let (_, bot) = sandbox.demo().unwrap();
    let lobby = sandbox.lobby_id();
    let mut agent = Socket::join(&sandbox, &agent_session(&sandbox, &bot.token), &lobby);
    let base = json!({ "runId": "run-1", "agencyId": lobby, "agentId": bot.id, "username": "mybot", "displayName": "mybot" });
    let tell = |agent: &mut Socket, event: &str, more: Value| {
        let mut payload = base.clone();
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        agent.emit(event, payload);
    };
    tell(&mut agent, "agent-run-start", json!({ "triggerMessageId": null }));
    let call = json!({ "toolCallId": "t", "tool": "/price", "input": "ETH", "status": "running" });
    tell(&mut agent, "agent-run-tool-call", call);
    let result =
        json!({ "toolCallId": "t", "tool": "/price", "output": "3000", "duration": "8ms", "status": "done" });
    tell(&mut agent, "agent-run-tool-result", result);
    let asks = json!({ "permissionId": "p", "action": "deploy", "description": "Really?" });
    tell(&mut agent, "agent-run-permission", asks);
    assert!(sandbox.wait_for_event("agent-run-permission", PATIENCE).is_some());
    let runs = get(&sandbox, "/_sandbox/runs?room=lobby", "");
    assert_eq!(runs[0]["steps"][0]["output"], "3000");
    assert_eq!((&runs[0]["steps"][1]["type"], &runs[0]["status"]), (&json!("permission"), &json!("running")));

    assert_eq!(curl(&sandbox, "permission", "decision=approve&message=go").0, 200);
    let answer = agent.wait("agent-run-permission-response");
    assert_eq!((&answer["decision"], &answer["message"]), (&json!("approve"), &json!("go")));
    assert_eq!(get(&sandbox, "/_sandbox/runs", "")[0]["steps"][1]["decision"], "approve");
    assert_eq!(curl(&sandbox, "permission", "").0, 404);
    curl(&sandbox, "interrupt", "action=adjust&message=in+EUR");
    assert_eq!(agent.wait("agent-run-interrupt")["message"], "in EUR");
}

#[test]
fn faults_are_set_by_name() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let lobby = sandbox.lobby_id();
    let me = || call(&sandbox, "GET", "/api/auth/me", &alice.token, Value::Null).status;

    curl(&sandbox, "fault", "fail=503x2");
    assert_eq!((me(), me(), me()), (503, 503, 200));
    curl(&sandbox, "fault", "rate-limit=2s");
    let limited = call(&sandbox, "GET", "/api/auth/me", &alice.token, Value::Null);
    assert_eq!((limited.status, limited.retry_after.as_deref()), (429, Some("2")));
    curl(&sandbox, "fault", "fail-rate=100%25:500");
    assert_eq!((me(), me()), (500, 500));
    let (_, active) = curl(&sandbox, "fault", "off=");
    assert_eq!((active["faults"].clone(), me()), (json!([]), 200));

    curl(&sandbox, "fault", "fault=latency=150ms");
    let started = Instant::now();
    assert_eq!(me(), 200);
    assert!(started.elapsed() >= Duration::from_millis(150));
    // Faults do not affect a connection that has sent a control request.
    let started = Instant::now();
    assert_eq!(get(&sandbox, "/_sandbox/fault", "")["faults"], json!(["latency=150ms"]));
    assert!(started.elapsed() < Duration::from_secs(20));
    sandbox.fault("off").unwrap();

    // Slow reading delays a large message and loses nothing of it.
    let mut socket = Socket::join(&sandbox, &alice.token, &lobby);
    sandbox.fault("slow-reader=100kb").unwrap();
    let started = Instant::now();
    let content = "x".repeat(60_000);
    socket.emit("send-message", json!({ "agencyId": lobby, "content": content }));
    assert_eq!(socket.wait("message")["content"], json!(content));
    assert!(started.elapsed() >= Duration::from_millis(400), "{:?}", started.elapsed());
    sandbox.fault("off").unwrap();

    // Connections are closed repeatedly.
    sandbox.fault("drop-links-every=50ms").unwrap();
    for _ in 0..2 {
        while socket.packet().is_some() {}
        // On a busy machine a connection may be closed before it is open.
        let mut tries = (0..100).map(|_| Socket::try_open(&sandbox, &alice.token));
        socket = tries.find_map(|socket| socket).unwrap();
    }
    sandbox.fault("off").unwrap();

    // Refused: closed without a response, except control connections.
    sandbox.fault("refuse=1m").unwrap();
    let refused = ureq::get(format!("{}/api/auth/me", sandbox.url())).call();
    assert!(!matches!(refused, Ok(_) | Err(ureq::Error::StatusCode(_))));
    assert!(text(&get(&sandbox, "/_sandbox/state", "")["faults"][0]).starts_with("refuse="));
    curl(&sandbox, "fault", "refuse=0");
    assert_eq!(me(), 200);

    curl(&sandbox, "fault", "expire-tokens=");
    assert_eq!(me(), 401);
}

#[test]
fn the_feed_shows_both_directions_without_secrets() {
    let sandbox = Sandbox::builder().demo(true).start().unwrap();
    let (_, bot) = sandbox.demo().unwrap();
    let mut feed = Feed::open(&sandbox, "");
    let session = agent_session(&sandbox, &bot.token);
    let entry = feed.next("rest");
    assert_eq!((&entry["path"], &entry["status"]), (&json!("/api/auth/agent"), &json!(200)));
    let lobby = sandbox.lobby_id();
    let mut agent = Socket::join(&sandbox, &session, &lobby);
    assert_eq!(feed.next("connect")["from"], "mybot");
    assert_eq!(feed.next("in")["event"], "join-agency");
    let out = feed.next("out");
    assert_eq!((&out["event"], &out["to"]), (&json!("agency-joined"), &json!(["mybot"])));
    agent.emit("send-message", json!({ "agencyId": lobby, "content": format!("my token is {}", bot.token) }));
    let sent = feed.next("in");
    assert_eq!(sent["payload"]["content"], "my token is sk_…");
    get(&sandbox, "/api/auth/me", &session);
    let entry = feed.next("rest");
    assert_eq!(entry["from"], "mybot");
    curl(&sandbox, "fault", "drop-links=");
    feed.next("fault");
    feed.next("disconnect");

    // A later reader gets the earlier entries, or with since=now only new ones.
    let mut late = Feed::open(&sandbox, "?since=0");
    assert_eq!(late.next("connect")["from"], "mybot");
    let mut new = Feed::open(&sandbox, "?since=now");
    curl(&sandbox, "say", "text=hello");
    assert_eq!(new.next("message")["message"]["content"], "hello");
}

#[test]
fn clear_keeps_accounts_and_reset_keeps_only_the_demo() {
    let sandbox = Sandbox::builder().demo(true).start().unwrap();
    let (user, bot) = sandbox.demo().unwrap();
    let lobby = sandbox.lobby_id();
    curl(&sandbox, "say", "text=hello&as=alice");
    curl(&sandbox, "clear", "");
    assert_eq!(get(&sandbox, "/_sandbox/messages", ""), json!([]));
    assert_eq!(call(&sandbox, "GET", "/api/users/alice", "", Value::Null).status, 200);
    curl(&sandbox, "say", "text=hello&as=alice");
    post(&sandbox, "/_sandbox/reset", "", Value::Null);
    assert_eq!(call(&sandbox, "GET", "/api/users/alice", "", Value::Null).status, 404);
    assert_eq!((get(&sandbox, "/_sandbox/messages", ""), sandbox.lobby_id()), (json!([]), lobby));
    assert_eq!(get(&sandbox, "/api/auth/me", &user.token)["username"], "demo");
    agent_session(&sandbox, &bot.token);
}

#[test]
fn the_page_is_one_file_that_contacts_no_other_server() {
    let sandbox = Sandbox::start().unwrap();
    let response = ureq::get(format!("{}/_sandbox", sandbox.url())).call().unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"));
    let page = response.into_body().read_to_string().unwrap();
    for outside in ["http://", "https://", "src=", "@import", "innerHTML"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

/// The remaining functions of `Sandbox`, over HTTP.
#[test]
fn curl_waits_shows_handshakes_and_sends_any_event() {
    let sandbox = Sandbox::builder().demo(true).start().unwrap();
    let (_, bot) = sandbox.demo().unwrap();
    let session = agent_session(&sandbox, &bot.token);
    let mut agent = Socket::join(&sandbox, &session, &sandbox.lobby_id());
    let handshakes = get(&sandbox, "/_sandbox/handshakes", "");
    assert_eq!(handshakes, json!([{ "token": "…" }]));

    let waited = get(&sandbox, "/_sandbox/wait?event=join-agency", "");
    assert_eq!(waited["payload"]["agencyId"], sandbox.lobby_id());
    let again = call(&sandbox, "GET", "/_sandbox/wait?event=join-agency&within=20ms", "", Value::Null);
    assert_eq!((again.status, &again.body["error"]), (408, &json!("No join-agency within 20ms")));
    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| get(&sandbox, "/_sandbox/wait?room=lobby&after=0&from=mybot&contains=3000", ""));
        for content in ["one moment", "ETH is at 3000"] {
            agent.emit("send-message", json!({ "agencyId": sandbox.lobby_id(), "content": content }));
        }
        assert_eq!(waiting.join().unwrap()["content"], "ETH is at 3000");
    });

    // Half a surrogate pair, which strict parsers refuse.
    let (status, _) = curl(&sandbox, "emit", "event=odd&room=lobby&raw=%7B%22a%22%3A%22%5Cud800%22%7D");
    assert_eq!(status, 200);
    while !agent.packet().unwrap().contains("\\ud800") {}
    assert_eq!(curl(&sandbox, "emit", "event=odd&raw=%7B").0, 400);

    for faults in ["skew-clocks=-2s:0:sorted", "fail=500x1:3s", "expire-claims"] {
        assert_eq!(curl(&sandbox, "fault", &format!("fault={faults}")).0, 200, "{faults}");
    }
    let active = get(&sandbox, "/_sandbox/fault", "")["faults"].to_string();
    assert!(active.contains("skew-clocks=-2000ms:0ms:sorted"), "{active}");
    let failed = call(&sandbox, "GET", "/api/commands", "", Value::Null);
    assert_eq!((failed.status, failed.retry_after.as_deref()), (500, Some("3")));

    assert_eq!(curl(&sandbox, "clear", "only=records").0, 200);
    assert_eq!(get(&sandbox, "/_sandbox/handshakes", ""), json!([]));
    assert_eq!(get(&sandbox, "/_sandbox/messages", "").as_array().unwrap().len(), 2);
    assert_eq!(curl(&sandbox, "clear", "only=everything").0, 400);
}

#[test]
fn settings_are_set_by_name() {
    let builder = Sandbox::builder().set("session-ttl=1h,truncate-content=3, metadata-as-string").unwrap();
    let sandbox = builder.start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let mut socket = Socket::join(&sandbox, &alice.token, &sandbox.lobby_id());
    socket.emit(
        "send-message",
        json!({ "agencyId": sandbox.lobby_id(), "content": "hello", "metadata": { "a": 1 } }),
    );
    let message = socket.wait("message");
    assert_eq!((&message["content"], &message["metadata"]), (&json!("hel"), &json!("{\"a\":1}")));
    for (bad, says) in
        [("session-ttl=5", "80ms"), ("colour=red", "no setting"), ("max-messages=x", "not a number")]
    {
        let error = Sandbox::builder().set(bad).unwrap_err().to_string();
        assert!(error.contains(says), "{bad}: {error}");
    }
}
