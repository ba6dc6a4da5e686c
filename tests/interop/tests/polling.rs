//! HTTP long-polling with the official server.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crustocean::{Agent, Event, agent::Transport};
use crustocean_interop::{
    AGENT_TOKEN, LOBBY, Server, UpgradeProxy, Upgrades, in_lobby, json, next, next_message, token, watchdog,
};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

fn polling(server: &Server) -> Agent {
    let builder = Agent::builder().api_url(server.url()).transport(Transport::Polling);
    let agent = builder.connect(token(AGENT_TOKEN)).expect("the agent connects");
    agent
        .set_home(&agent.join("lobby").expect("the agent joins the lobby"))
        .expect("the agent joins the lobby");
    agent
}

#[test]
fn a_conversation() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({"transports": ["polling"]}));
    let agent = polling(&server);
    let events = agent.events();
    assert_eq!(server.log(&["connect"])[0]["transport"], "polling");

    server.alice_says(LOBBY, "@mybot, ünïcode 🦞?");
    let question = next_message(&events, "@mybot, ünïcode 🦞?");
    agent.reply(&question, "an answer, 🦞").unwrap();
    next_message(&events, "an answer, 🦞");
    let posted = agent.post("a draft").unwrap().first;
    assert_eq!(posted.content, "a draft");
    for number in 0..50 {
        server.alice_says(LOBBY, &format!("number {number}"));
        agent.send(format!("answer {number}")).unwrap();
    }
    for number in 0..50 {
        next_message(&events, &format!("number {number}"));
    }
    // Large enough for the server to compress it.
    let long = "x".repeat(50_000);
    server.alice_says(LOBBY, &long);
    next_message(&events, &long);
    let said = server.wait_events(SOON, 52, "send-message");
    assert_eq!(said[51].payload()["content"], "answer 49", "in order");
    assert_eq!(server.engines(), 1, "one session all the while");

    let started = Instant::now();
    agent.close().unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "took {:?}", started.elapsed());
    let gone = server.wait(SOON, "disconnect", 1, |entry| entry["kind"] == "disconnect");
    assert_eq!(gone[0]["reason"], "client namespace disconnect");
    server.wait(SOON, "engine-close", 1, |entry| entry["kind"] == "engine-close");
}

#[test]
fn a_slow_handler_keeps_the_session() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({"transports": ["polling"], "pingInterval": 300, "pingTimeout": 400}));
    let agent = polling(&server);
    let events = agent.events();
    server.alice_says(LOBBY, "think");
    next_message(&events, "think");
    sleep(Duration::from_secs(3)); // the handler
    agent.send("thought").unwrap();
    next_message(&events, "thought");
    // Waits that are shorter than a poll.
    for _ in 0..100 {
        let _ = events.recv_timeout(Duration::from_millis(7));
    }
    assert_eq!(server.log(&["connect"]).len(), 1, "one session all the while");
    let ends = server.log(&["disconnect", "engine-close"]);
    assert!(ends.is_empty(), "{ends:?}");
    let pongs = server.log(&["packet"]).iter().filter(|packet| packet["type"] == "pong").count();
    assert!(pongs >= 4, "{pongs} pongs");
}

#[test]
fn a_dropped_session_is_replaced_and_its_rooms_joined_again() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({"transports": ["polling"]}));
    let agent = polling(&server);
    let events = agent.events();
    server.cut();
    next(&events, "disconnected", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    server.wait_connects(SOON, 2);
    agent.send("back").unwrap();
    next_message(&events, "back");
}

#[test]
fn auto_polls_where_the_server_has_no_websocket() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({"transports": ["polling"]}));
    let agent = in_lobby(&server);
    agent.send("by polling").unwrap();
    server.wait_events(SOON, 1, "send-message");
    assert_eq!(server.log(&["connect"])[0]["transport"], "polling");
}

#[test]
fn auto_polls_where_no_upgrade_gets_through() {
    let _watchdog = watchdog(LIMIT);
    for upgrades in [
        Upgrades::Answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        Upgrades::Close,
        Upgrades::Swallow,
    ] {
        let server = Server::start(json!({}));
        let gate = UpgradeProxy::start(server.url().trim_start_matches("http://"), upgrades);
        let builder = Agent::builder().api_url(gate.url()).handshake_timeout(Duration::from_secs(6));
        let agent = builder.connect(token(AGENT_TOKEN)).unwrap();
        agent.set_home(&agent.join("lobby").unwrap()).unwrap();
        let events = agent.events();
        agent.send("hello").unwrap();
        next_message(&events, "hello");
        assert_eq!(server.log(&["connect"])[0]["transport"], "polling");
        assert_eq!(gate.upgrades(), 1);
    }
}
