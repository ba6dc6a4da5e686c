//! Connecting with good and bad tokens.

use std::net::SocketAddr;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::common::{Response, ScriptedServer, TestSandbox, watchdog};
use crustocean::{Agent, AgentToken, ErrorKind};

const LIMIT: Duration = Duration::from_secs(180);

fn token(text: &str) -> AgentToken {
    text.parse().unwrap()
}

#[test]
fn a_good_token_connects() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.connect("larry");
    assert_eq!(agent.user().username, "larry");
    assert!(agent.is_connected());
    assert_eq!(sandbox.connections(), 1);
    agent.close().unwrap();
}

#[test]
fn an_unverified_agent_gets_an_error_that_says_what_to_do() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let created = sandbox.client().agents().create("fresh").send().unwrap();
    let error = sandbox.builder().connect(created.agent_token.clone()).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::NotVerified, Some(403)));
    assert!(error.is_auth() && error.to_string().contains("verify"), "{error}");

    sandbox.client().agents().verify(&created.agent.id).unwrap();
    sandbox.builder().connect(created.agent_token).unwrap();
}

#[test]
fn an_unknown_token_has_its_own_error() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let error = sandbox.builder().connect(token("sk_nobody")).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, Some(401)));
    assert!(error.to_string().contains("shown once"), "{error}");
}

#[test]
fn a_rate_limit_says_how_long_to_wait() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let good = sandbox.agent_token("larry");
    sandbox.fail_next(1, 429, Some(Duration::from_secs(17)));
    let error = sandbox.builder().connect(good).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    assert!(error.is_retryable());
}

#[test]
fn an_unreachable_server_is_a_connect_error() {
    let _watchdog = watchdog(LIMIT);
    // Bound, so that no other program gets the port, but not listening.
    let closed = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    closed.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = closed.local_addr().unwrap().as_socket().unwrap();
    let error = Agent::builder().api_url(format!("http://{address}")).connect(token("sk_x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.is_retryable(), "{error}");
}

#[test]
fn a_refused_socket_is_retried_once_with_a_new_session() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.open(Duration::from_secs(25), Duration::from_secs(20));
        let frame = conn.expect_connect();
        let expected = format!(r#"40{{"token":"session-{}"}}"#, conn.index + 1);
        assert_eq!(frame, expected);
        conn.send_text(r#"44{"message":"Invalid session"}"#);
        conn.recv(Duration::from_secs(5));
    });
    let error = Agent::builder().api_url(server.url()).connect(token("sk_x")).unwrap_err();
    assert_eq!((error.kind(), error.server_message()), (ErrorKind::Unauthorized, Some("Invalid session")));
    assert_eq!(server.connections().len(), 2);
}

#[test]
fn a_server_that_never_answers_the_upgrade_takes_only_the_handshake_timeout() {
    let _watchdog = watchdog(LIMIT);
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let server = ScriptedServer::start_before_upgrade(move |_| {
        let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(10));
    });
    let started = Instant::now();
    let error = Agent::builder()
        .api_url(server.url())
        .handshake_timeout(Duration::from_millis(300))
        .connect(token("sk_x"))
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(started.elapsed() < Duration::from_secs(9));
    drop(hold);
}

#[test]
fn an_older_socket_io_is_named_in_the_error() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.open(Duration::from_secs(25), Duration::from_secs(20));
        conn.expect_connect();
        conn.send_text("40");
        conn.recv(Duration::from_secs(5));
    });
    let error = Agent::builder().api_url(server.url()).connect(token("sk_x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("older Socket.IO"), "{error}");
}

#[test]
fn a_redirect_is_named_in_the_error_and_not_followed() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|_| {});
    server.on("POST", "/api/auth/agent", |_| {
        Response::text(301, "").header("Location", "https://elsewhere.example/api")
    });
    let error = Agent::builder().api_url(server.url()).connect(token("sk_secret")).unwrap_err();
    assert!(error.to_string().contains("elsewhere.example"), "{error}");
    let asked = server.requests().into_iter().filter(|request| request.path.starts_with("/api"));
    assert_eq!(asked.count(), 1);
}
