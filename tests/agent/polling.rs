//! HTTP long-polling: everything that works over a WebSocket works without one.

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::common::{
    FaultyProxy, PollServer, Response, SOON, ScriptedServer, TestSandbox, UpgradeProxy, Upgrades, eventually,
    wait_for, wait_for_message, watchdog,
};
use crustocean::{Agent, ErrorKind, Event, Events, Message, agent::Transport};
use crustocean_sandbox::Sandbox;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

fn polling(sandbox: &TestSandbox, name: &str) -> Agent {
    let builder = sandbox.builder().transport(Transport::Polling);
    let agent = builder.connect(sandbox.agent_token(name)).expect("connects by polling");
    agent.set_home(&agent.join("lobby").expect("joins the lobby")).expect("joins the lobby");
    agent
}

#[test]
fn everything_that_an_agent_does_works_over_polling() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, ben) = (polling(&sandbox, "larry"), sandbox.in_lobby("ben"));
    let (larrys, bens) = (larry.events(), ben.events());

    larry.send("hello ünïcode 🦞").unwrap();
    wait_for_message(&bens, "hello ünïcode 🦞");
    sandbox.alice_says("@larry?");
    let question = wait_for_message(&larrys, "@larry?");
    assert!(larry.should_respond(&question));
    larry.reply(&question, "an answer").unwrap();
    wait_for_message(&bens, "an answer");

    let posted = larry.post("a draft").unwrap().first;
    larry.edit(&posted, "the final text").unwrap();
    wait_for(&bens, "the edit", |event| match event {
        Event::MessageEdited(edit) if edit.content == "the final text" => Some(()),
        _ => None,
    });
    // This text is larger than one message.
    let large = json!({"agencyId": sandbox.lobby_id(), "content": "x".repeat(20_000)});
    larry.raw().emit("send-message", &large).unwrap();
    wait_for_message(&bens, &"x".repeat(20_000));
    larry.close().unwrap();
}

#[test]
fn many_threads_send_and_one_reads() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, ben) = (polling(&sandbox, "larry"), sandbox.in_lobby("ben"));
    let bens = ben.events();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let larry = &larry;
            scope.spawn(move || {
                for number in 0..10 {
                    larry.send(format!("thread {thread} number {number}.")).unwrap();
                }
            });
        }
        let mut next = [0; 4];
        for _ in 0..40 {
            let text = wait_for_message(&bens, "thread").content;
            let thread: usize = text[7..8].parse().unwrap();
            assert!(text.ends_with(&format!("number {}.", next[thread])), "{text}: {next:?}");
            next[thread] += 1;
        }
    });
    assert_eq!(sandbox.handshakes().len(), 2, "one connection each");
}

#[test]
fn a_blocking_handler_keeps_the_polling_session() {
    let _watchdog = watchdog(LIMIT);
    let sandbox =
        Sandbox::builder().ping_interval(Duration::from_millis(500)).ping_timeout(Duration::from_secs(2));
    let sandbox = TestSandbox::with(sandbox);
    let agent = polling(&sandbox, "larry");
    let events = agent.events();
    sandbox.alice_says("think about it");
    wait_for_message(&events, "think");
    // The handler takes several times the server's time limit. The test needs this time.
    std::thread::sleep(Duration::from_secs(8));
    sandbox.alice_says("and?");
    agent.send("I have thought").unwrap();
    wait_for_message(&events, "and?");
    wait_for_message(&events, "I have thought");
    assert_eq!(sandbox.handshakes().len(), 1, "one session all the while");
}

/// The server does not answer any request. `try_send` returns, and the accepted messages arrive in order.
#[test]
fn try_send_does_not_wait_for_its_request() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (larry, ben) = (polling(&sandbox, "larry"), sandbox.in_lobby("ben"));
    let bens = ben.events();
    let length = Duration::from_secs(5);
    sandbox.freeze(length);
    let started = Instant::now();
    for number in 0..3 {
        larry.try_send(format!("number {number}")).unwrap();
    }
    assert!(started.elapsed() < length / 2, "{:?}", started.elapsed());
    // These are more messages than may wait.
    let text = "x".repeat(7_000);
    let refused = (0..20).find_map(|_| larry.try_send(text.as_str()).err()).expect("there is a bound");
    assert!(started.elapsed() < length * 4 / 5, "{:?}", started.elapsed());
    assert_eq!(refused.kind(), ErrorKind::NotSent, "{refused}");
    sandbox.thaw();
    larry.send("number 3").unwrap();
    larry.try_send("number 4").unwrap();
    larry.close().unwrap();
    for number in 0..5 {
        let text = wait_for_message(&bens, "number").content;
        assert_eq!(text, format!("number {number}"));
    }
}

#[test]
fn a_short_wait_ends_without_losing_the_poll() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = polling(&sandbox, "larry");
    let events = agent.events();
    while events.try_recv().is_ok() {}
    for _ in 0..50 {
        let started = Instant::now();
        let _ = events.recv_timeout(Duration::from_millis(10));
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    sandbox.alice_says("still there?");
    wait_for_message(&events, "still there?");
    assert_eq!(sandbox.handshakes().len(), 1, "one session all the while");
}

#[test]
fn a_dropped_session_is_replaced_and_its_rooms_joined_again() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = polling(&sandbox, "larry");
    let events = agent.events();
    sandbox.drop_links();
    eventually("the loss is noticed", || !agent.is_connected());
    agent.send("back").unwrap();
    wait_for_message(&events, "back");
}

#[test]
fn a_lost_poll_response_is_recovered() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let proxy = FaultyProxy::new(sandbox.url().strip_prefix("http://").unwrap().parse().unwrap());
    let builder = Agent::builder().api_url(proxy.url()).transport(Transport::Polling);
    let agent = builder.connect(sandbox.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    let events = agent.events();
    sandbox.alice_says("heard");
    wait_for_message(&events, "heard");
    // The server answers the poll and forgets it. The response gets only to the proxy.
    proxy.freeze(Duration::from_millis(600));
    sandbox.alice_says("lost");
    std::thread::sleep(Duration::from_millis(300));
    proxy.outage(Duration::ZERO);
    assert!(wait_for_message(&events, "lost").replayed);
    sandbox.alice_says("after");
    wait_for_message(&events, "after");
}

#[test]
fn auto_falls_back_to_polling_and_the_others_do_not() {
    let _watchdog = watchdog(LIMIT);
    let answers = [
        Upgrades::Answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        Upgrades::Answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
        Upgrades::Answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        Upgrades::Answer("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<ok>"),
        Upgrades::Close,
        Upgrades::Swallow,
    ];
    crate::common::hostile::each(&answers, |upgrades| {
        let sandbox = TestSandbox::new();
        let target = sandbox.url().trim_start_matches("http://").to_owned();
        let gate = UpgradeProxy::start(&target, *upgrades);
        let limit = Duration::from_secs(6);
        let builder = || Agent::builder().api_url(gate.url()).handshake_timeout(limit);

        let agent = builder().connect(sandbox.agent_token("larry")).unwrap();
        agent.set_home(&agent.join("lobby").unwrap()).unwrap();
        assert_eq!(gate.upgrades(), 1, "{upgrades:?}");
        // The session continues to use the transport that works.
        let events = agent.events();
        sandbox.drop_links();
        eventually("the loss is noticed", || !agent.is_connected());
        agent.send("back").unwrap();
        wait_for_message(&events, "back");
        assert_eq!(gate.upgrades(), 1, "{upgrades:?}");

        builder().transport(Transport::Polling).connect(sandbox.agent_token("ben")).unwrap();
        assert_eq!(gate.upgrades(), 1, "{upgrades:?}");
        let error =
            builder().transport(Transport::WebSocket).connect(sandbox.agent_token("conch")).unwrap_err();
        // After a 403 the agent tries once again, with a new session.
        assert!(gate.upgrades() > 1, "{upgrades:?}: {error}");
    });
}

#[test]
fn a_refusal_by_the_server_is_not_retried_by_polling() {
    let _watchdog = watchdog(LIMIT);
    for (status, answer) in [
        (401, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
        (429, "HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let sandbox = TestSandbox::new();
        let target = sandbox.url().trim_start_matches("http://").to_owned();
        let gate = UpgradeProxy::start(&target, Upgrades::Answer(answer));
        let builder = Agent::builder().api_url(gate.url());
        let error = builder.connect(sandbox.agent_token("larry")).unwrap_err();
        assert_eq!(error.status(), Some(status), "{error}");
        assert!(!sandbox.requests().iter().any(|line| line.contains("polling")));
    }
}

#[test]
fn a_websocket_is_kept_where_it_works() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let target = sandbox.url().trim_start_matches("http://").to_owned();
    let gate = UpgradeProxy::start(&target, Upgrades::Pass);
    let agent = Agent::builder().api_url(gate.url()).connect(sandbox.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    assert_eq!(gate.upgrades(), 1);
}

fn connect(server: &PollServer) -> Agent {
    let builder = Agent::builder().api_url(server.server.url()).transport(Transport::Polling);
    builder.connect("sk_x".parse().unwrap()).expect("connects")
}

fn alive(server: &PollServer, agent: &Agent, events: &Events) {
    server.say(r#"42["alive",1]"#);
    wait_for(events, "a sign of life", |event| match event {
        Event::Other(raw) if raw.name() == "alive" => Some(()),
        _ => None,
    });
    agent.raw().emit("yes", &1).unwrap();
}

#[test]
fn the_requests_follow_engine_io() {
    let _watchdog = watchdog(LIMIT);
    let server = PollServer::start();
    let agent = connect(&server);
    let events = agent.events();
    // One response has a header with its attachment, a ping, and text with letters that are not ASCII.
    server.say(
        "2\u{1e}451-[\"bytes\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQID\u{1e}42[\"word\",\"ü\"]\u{1e}6",
    );
    let bytes = wait_for(&events, "bytes", |event| match event {
        Event::Other(raw) if raw.name() == "bytes" => Some(raw),
        _ => None,
    });
    assert_eq!(bytes.attachments().map(<[u8]>::to_vec).collect::<Vec<_>>(), [vec![1, 2, 3]]);
    let word = wait_for(&events, "word", |event| match event {
        Event::Other(raw) if raw.name() == "word" => Some(raw.first::<String>().unwrap()),
        _ => None,
    });
    assert_eq!(word, "ü");
    assert_eq!(server.posts(1), ["3"]);
    alive(&server, &agent, &events);
    assert_eq!(server.posts(2)[1], "42[\"yes\",1]");

    let requests = server.server.requests();
    let ours: Vec<_> = requests.iter().filter(|request| request.path == "/socket.io/").collect();
    assert!(ours[0].query.starts_with("EIO=4&transport=polling&t=") && ours[0].header("cookie").is_none());
    let mut busters: Vec<_> =
        ours.iter().map(|request| request.query.split("&t=").nth(1).unwrap().to_owned()).collect();
    busters.sort();
    busters.dedup();
    assert_eq!(busters.len(), ours.len(), "no URL comes twice");
    for request in &ours {
        assert!(request.header("accept-encoding").is_none() && request.header("upgrade").is_none());
        assert!(request.header("user-agent").unwrap().starts_with("crustocean-rust/"));
    }
    for request in &ours[1..] {
        assert_eq!(request.header("cookie"), Some("AWSALB=machine-1"), "{request:?}");
        assert!(request.query.ends_with("&sid=engine-1"), "{}", request.query);
    }
    assert_eq!(server.most_in_flight(), 1, "one poll at a time");

    // The agent ends with a disconnect (41) and then a close (1).
    let started = Instant::now();
    agent.close().unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(server.posts(4)[2..], ["41", "1"]);
}

#[test]
fn acks_work_both_ways() {
    let _watchdog = watchdog(LIMIT);
    let server = PollServer::start();
    let agent = connect(&server);
    let events = agent.events();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| agent.raw().call("sum", &[1, 2], SOON).unwrap());
        let post = server.posts(1).remove(0);
        let id: String = post[2..].chars().take_while(char::is_ascii_digit).collect();
        server.say(&format!("43{id}[3]"));
        assert_eq!(asking.join().unwrap(), json!(3));
    });
    server.say(r#"4217["question",{}]"#);
    let question = wait_for(&events, "a question", |event| match event {
        Event::Other(raw) if raw.name() == "question" => Some(raw),
        _ => None,
    });
    agent.raw().answer(&question, &"yes").unwrap();
    assert_eq!(server.posts(2)[1], r#"4317["yes"]"#);
}

/// Rows B46, B47, B49 and B51: each of these ends the session, and the agent reconnects with a new one.
#[test]
fn t56_a_first_poll_without_an_answer_times_out() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|_| {});
    let (end, over) = mpsc::channel::<()>();
    let over = Mutex::new(over);
    server.on("GET", "/socket.io/", move |_| {
        let _ = over.lock().unwrap().recv();
        Response::text(200, "")
    });
    let limit = Duration::from_millis(700);
    let builder = Agent::builder().api_url(server.url()).handshake_timeout(limit);
    let started = Instant::now();
    let error = builder.transport(Transport::Polling).connect("sk_x".parse().unwrap()).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(started.elapsed() >= limit && started.elapsed() < limit + SOON, "{:?}", started.elapsed());
    drop(end);
}

#[test]
fn b46_b47_b49_b51_bad_responses_end_only_the_session() {
    let _watchdog = watchdog(LIMIT);
    let open = r#"0{"sid":"another","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
    let cases = [
        ("B46 empty parts", Response::text(200, "\u{1e}\u{1e}")),
        ("B46 a separator", Response::text(200, "\u{1e}")),
        ("B46 an empty part", Response::text(200, "42[\"x\"]\u{1e}\u{1e}42[\"y\"]")),
        ("B47 bad base64", Response::text(200, "b***")),
        ("B47 another alphabet", Response::text(200, "b-_-_")),
        ("B49 gzip", Response::text(200, "6").header("Content-Encoding", "gzip")),
        ("not UTF-8", Response::text(200, vec![b'4', b'2', 0xff])),
        ("a web page", Response::text(200, "<html>").header("Content-Type", "text/html")),
        ("B51 another sid", Response::text(200, open)),
        ("B51 forgotten", Response::json(400, json!({"code": 1, "message": "Session ID unknown"}))),
        ("T99 closed", Response::text(200, "1")),
        ("a redirect", Response::text(302, "").header("Location", "http://127.0.0.1:1/")),
    ];
    crate::common::hostile::each(&cases, |(name, answer)| {
        let server = PollServer::start();
        let agent = connect(&server);
        let events = agent.events();
        server.answer(answer.clone());
        wait_for(&events, name, |event| match event {
            Event::Disconnected { reason, .. } => {
                assert!(
                    ["transport error", "transport close", "parse error"].contains(&reason.as_str()),
                    "{name}"
                );
                Some(())
            }
            _ => None,
        });
        wait_for(&events, "the next session", |event| matches!(event, Event::Connected { .. }).then_some(()));
        assert_eq!(server.sessions(), 2, "{name}");
        alive(&server, &agent, &events);
    });
}

#[test]
fn b47_b49_unusual_but_valid_responses_are_accepted() {
    let _watchdog = watchdog(LIMIT);
    let server = PollServer::start();
    let agent = connect(&server);
    let events = agent.events();
    // The server sends base64 without padding, an empty response, and a response with a status that forbids a body.
    server.say("451-[\"bytes\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQ");
    server.say("");
    server.answer(Response::text(204, ""));
    alive(&server, &agent, &events);
    assert_eq!(server.sessions(), 1);
}

#[test]
fn b48_only_the_status_of_a_post_counts() {
    let _watchdog = watchdog(LIMIT);
    let server = PollServer::start();
    let agent = connect(&server);
    server.answer_post(Response::text(200, "not ok"));
    agent.raw().emit("a", &1).unwrap();
    server.answer_post(Response::text(413, "too big"));
    let error = agent.raw().emit("b", &2).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Invalid, Some(413)), "{error}");
    agent.raw().emit("c", &3).unwrap();
    let error = agent.raw().emit("d", &"x".repeat(100_001)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "the server's maxPayload: {error}");
    assert_eq!((server.sessions(), server.posts(3).len()), (1, 3));

    // It is unknown whether it arrived, so it is not repeated.
    server.answer_post(Response::text(502, "a gateway's"));
    let error = agent.raw().emit("e", &5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MaybeSent, "{error}");
    // The server says that it did not process it, so the next session sends it.
    server.answer_post(Response::json(400, json!({"code": 1, "message": "Session ID unknown"})));
    agent.raw().emit("f", &6).unwrap();
    let posts = server.posts(6);
    assert_eq!(posts.iter().filter(|post| post.contains("\"e\"")).count(), 1, "{posts:?}");
    assert_eq!(posts.iter().filter(|post| post.contains("\"f\"")).count(), 2, "{posts:?}");
    assert_eq!(server.sessions(), 3);
}

#[test]
fn b50_empty_responses_do_not_cause_a_busy_loop() {
    let _watchdog = watchdog(LIMIT);
    let server = PollServer::start();
    let agent = connect(&server);
    let events = agent.events();
    let (before, started) = (server.polls().len(), Instant::now());
    for turn in 0..60 {
        server.say(if turn % 2 == 0 { "6" } else { "" });
    }
    eventually("all have been taken", || server.polls().len() - before >= 60);
    // The agent sends ten at once, then one every 50 ms, which takes 2.5 s. A busy machine pauses by itself, and each
    // pause saves up to ten messages.
    assert!(started.elapsed() > Duration::from_millis(400), "60 polls in {:?}", started.elapsed());
    let mut seen = std::iter::from_fn(|| events.try_recv().ok());
    assert!(seen.all(|event| !matches!(event, Event::Disconnected { .. })));
    alive(&server, &agent, &events);
}

#[test]
fn b52_a_flood_of_cookies_is_bounded() {
    let _watchdog = watchdog(LIMIT);
    let server = PollServer::start();
    let agent = connect(&server);
    let mut answer = Response::text(200, "6");
    for number in 0..90 {
        answer = answer.header("Set-Cookie", &format!("c{number}={}", "x".repeat(100)));
    }
    server.answer(answer);
    eventually("the next poll", || server.polls().len() >= 3);
    let cookie = server.polls().last().unwrap().header("cookie").unwrap().to_owned();
    assert_eq!(cookie.split("; ").count(), 32);
    assert!(cookie.contains("AWSALB=machine-1"), "the sticky one stays");
    agent.raw().emit("still", &1).unwrap();
}

/// Without this order, the room could see reports of a run that the server does not know.
#[test]
fn a_run_sends_its_start_again_if_it_may_be_lost() {
    let _watchdog = watchdog(LIMIT);
    let server = PollServer::start();
    let agent = connect(&server);
    let question = Message::builder("hello").room("ag-1").build();
    server.answer_post(Response::text(502, "a gateway's"));
    let run = agent.room_of(&question).start_run(&question).unwrap();
    run.status("working").unwrap();
    // The order is the same for every other report.
    server.answer_post(Response::text(502, "a gateway's"));
    run.complete("Done.").unwrap();
    let posts = server.posts(5);
    let names: Vec<&str> = posts.iter().map(|post| post.split('"').nth(1).unwrap()).collect();
    let [start, status, complete] = ["agent-run-start", "agent-run-status", "agent-run-complete"];
    assert_eq!(names, [start, start, status, complete, complete]);
    assert_eq!((&posts[0], &posts[3]), (&posts[1], &posts[4]), "with the same id");
    assert!(posts.iter().all(|post| post.contains(run.id().as_str())), "{posts:?}");
    assert_eq!(server.sessions(), 3);
}
