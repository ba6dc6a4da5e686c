//! The server ends the session, as it does for a kick, a ban or a deploy.

use std::time::{Duration, Instant};

use crustocean::Event;
use crustocean_interop::{LOBBY, Server, in_lobby, json, next, next_message, watchdog};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(5);

fn returns_after_a_while(close: bool) {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let events = agent.events();
    let kicked = Instant::now();
    server.command(json!({"cmd": "disconnect", "close": close}));
    let retry_in = next(&events, "Disconnected", |event| match event {
        Event::Disconnected { reason, retry_in, .. } => {
            assert_eq!(*reason, "io server disconnect");
            Some(*retry_in)
        }
        _ => None,
    });
    assert!(retry_in >= Duration::from_secs(5), "not at once: {retry_in:?}");
    assert!(!agent.is_connected());
    // A server that ends only the namespace leaves the connection open. The agent closes it, because it no longer needs
    // it.
    server.wait(SOON, "engine-close", 1, |entry| entry["kind"] == "engine-close");
    assert_eq!(server.engines(), 0);

    agent.send("may I?").unwrap(); // waits for the connection
    assert!(kicked.elapsed() >= Duration::from_secs(5), "back after {:?}", kicked.elapsed());
    next_message(&events, "may I?");
    server.alice_says(LOBBY, "you may");
    next_message(&events, "you may");
    assert_eq!(server.log(&["connect"]).len(), 2);
}

#[test]
fn after_a_namespace_disconnect_the_agent_reconnects_later() {
    returns_after_a_while(false);
}

#[test]
fn after_a_close_by_the_server_the_agent_reconnects_later() {
    returns_after_a_while(true);
}
