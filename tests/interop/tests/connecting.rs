//! From the agent token to an open namespace, as the official server sees it, and all refusals.

use std::time::{Duration, Instant};

use crustocean::{
    Agent, ErrorKind,
    agent::{AgentBuilder, Transport},
};
use crustocean_interop::{
    AGENT, AGENT_NAME, AGENT_TOKEN, Entry, Server, UNVERIFIED_TOKEN, connect, json, token, watchdog,
};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

fn kinds(log: &[Entry]) -> Vec<&str> {
    log.iter().map(|entry| entry["kind"].as_str().unwrap()).collect()
}

#[test]
fn the_session_token_goes_into_connect_and_nothing_else_does() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = connect(&server);
    assert_eq!((agent.user().id.as_str(), agent.user().username.as_str()), (AGENT, AGENT_NAME));
    assert_eq!(agent.user().display_name, "My Bot");

    let mut log = server.log(&[]);
    // The agent sends the exchange and the handshake at the same time, so either may arrive first.
    if log.first().is_some_and(|entry| entry["kind"] == "handshake") {
        log.swap(0, 1);
    }
    assert_eq!(kinds(&log), ["http", "handshake", "packet", "connect"]);
    let [exchange, handshake, packet, connected] = &log[..] else { unreachable!() };

    assert_eq!((&exchange["method"], &exchange["path"]), (&json!("POST"), &json!("/api/auth/agent")));
    assert_eq!(exchange["body"], json!({"agentToken": AGENT_TOKEN}));
    assert_eq!(exchange["headers"]["content-type"], "application/json");
    assert!(exchange["headers"]["authorization"].is_null(), "there is no token yet to show");

    assert_eq!(handshake["url"], "/socket.io/?EIO=4&transport=websocket");
    let headers = &handshake["headers"];
    assert_eq!(headers["host"], server.url().trim_start_matches("http://"));
    assert!(headers["user-agent"].as_str().unwrap().starts_with("crustocean-rust/"));
    for absent in ["sec-websocket-extensions", "authorization", "cookie", "origin"] {
        assert!(headers[absent].is_null(), "{absent}: {}", headers[absent]);
    }

    let session = connected["auth"]["token"].as_str().unwrap();
    assert_eq!(connected["auth"], json!({"token": session}));
    assert_eq!(packet["type"], "message");
    assert_eq!(packet["data"], format!(r#"0{{"token":"{session}"}}"#));
    assert_eq!((&connected["transport"], &connected["recovered"]), (&json!("websocket"), &json!(false)));
}

#[test]
fn nothing_is_sent_before_a_slow_middleware_has_decided() {
    let _watchdog = watchdog(LIMIT);
    // Heartbeats begin with the connection, not with the accepted CONNECT. An event before that would end the connection.
    let server = Server::start(json!({"authDelayMs": 1500, "pingInterval": 300, "pingTimeout": 200}));
    let started = Instant::now();
    let agent = connect(&server);
    assert!(started.elapsed() >= Duration::from_millis(1500));
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    agent.send("at last").unwrap();
    server.wait_events(SOON, 1, "send-message");

    let log = server.log(&["packet", "connect", "engine-close", "refused"]);
    let (before, after) = log.split_at(log.iter().position(|entry| entry["kind"] == "connect").unwrap());
    let (pongs, messages): (Vec<_>, Vec<_>) = before.iter().partition(|packet| packet["type"] == "pong");
    assert_eq!(messages.len(), 1, "CONNECT alone: {messages:?}");
    assert!(pongs.len() >= 3, "{} pongs in 1.5 s", pongs.len());
    assert!(after.iter().all(|entry| entry["kind"] != "engine-close"), "{after:?}");
}

#[test]
fn a_refused_socket_is_retried_once_with_a_fresh_session() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({"refuseSockets": true}));
    let error = Agent::builder().api_url(server.url()).connect(token(AGENT_TOKEN)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    assert!(error.is_auth() && !error.is_retryable());
    assert_eq!(error.server_message(), Some("Invalid or expired token"));
    assert!(error.to_string().contains("Invalid or expired token"), "{error}");

    let refused = server.log(&["refused"]);
    assert_eq!(refused.len(), 2);
    assert_ne!(refused[0]["auth"]["token"], refused[1]["auth"]["token"], "the second try has a new session");
    server.wait(SOON, "engine-close", 2, |entry| entry["kind"] == "engine-close");
    assert_eq!(server.engines(), 0, "no connection is left behind");
}

#[test]
fn a_bad_agent_token_is_never_sent_on_the_socket() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    for (text, kind, status) in
        [("sk_nobody", ErrorKind::Unauthorized, 401), (UNVERIFIED_TOKEN, ErrorKind::NotVerified, 403)]
    {
        let error = Agent::builder().api_url(server.url()).connect(token(text)).unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{error}");
        assert!(error.is_auth(), "{error}");
        assert!(!format!("{error} {error:?}").contains(text), "the token is in no text: {error:?}");
    }
    // The socket is opened during the exchange of the token, and closed again without sending anything.
    let log = server.log(&["http", "packet", "connect", "refused"]);
    assert_eq!(kinds(&log), ["http", "http"], "{log:?}");
    // No connection is left. Each check asks the server.
    while server.engines() > 0 {}
}

fn websocket(server: &Server) -> AgentBuilder {
    Agent::builder().api_url(server.url()).transport(Transport::WebSocket)
}

#[test]
fn a_refused_upgrade_gives_the_reason() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    server.command(json!({"cmd": "deny", "times": 1}));
    let error = websocket(&server).connect(token(AGENT_TOKEN)).unwrap_err();
    assert_eq!((error.status(), error.server_message()), (Some(400), Some("turned away")), "{error}");
    assert!(!error.is_auth(), "the token is not at fault: {error}");
}

#[test]
fn an_upgrade_refused_in_chunks_gives_the_reason_at_once() {
    let _watchdog = watchdog(LIMIT);
    // Without WebSocket, Node handles the upgrade as an ordinary request: the response is JSON in chunks, and the
    // connection stays open after it.
    let server = Server::start(json!({"transports": ["polling"]}));
    let started = Instant::now();
    let error = websocket(&server).connect(token(AGENT_TOKEN)).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(3), "took {:?}", started.elapsed());
    assert_eq!(error.status(), Some(400), "{error}");
    let said = error.server_message().unwrap_or_default();
    assert!(said.contains("Transport unknown") && !said.contains("28"), "without the chunk sizes: {said}");
    assert!(!error.is_auth(), "the token is not at fault: {error}");
}

#[test]
fn closing_sends_a_disconnect() {
    let _watchdog = watchdog(LIMIT);
    for by_dropping in [false, true] {
        let server = Server::start(json!({}));
        let agent = connect(&server);
        agent.set_home(&agent.join("lobby").unwrap()).unwrap();
        agent.send("last words").unwrap();
        let started = Instant::now();
        if by_dropping {
            drop(agent);
        } else {
            agent.close().unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(1), "took {:?}", started.elapsed());

        let gone = server.wait(SOON, "disconnect", 1, |entry| entry["kind"] == "disconnect");
        assert_eq!(gone[0]["reason"], "client namespace disconnect");
        assert_eq!(server.events("send-message")[0].payload()["content"], "last words");
        server.wait(SOON, "engine-close", 1, |entry| entry["kind"] == "engine-close");
        assert_eq!(server.engines(), 0);
    }
}
