//! Helpers for the agents of the tests.

use std::time::{Duration, Instant};

use crustocean::{Agent, AgentToken, Event, Events, Message};

use crate::server::{AGENT_TOKEN, Server};

/// How long anything that should happen may take.
const SOON: Duration = Duration::from_secs(10);

/// An agent token with this text.
pub fn token(text: &str) -> AgentToken {
    text.parse().expect("an agent token")
}

/// An agent that has joined no room.
pub fn connect(server: &Server) -> Agent {
    Agent::builder().api_url(server.url()).connect(token(AGENT_TOKEN)).expect("the agent connects")
}

/// An agent in the lobby.
pub fn in_lobby(server: &Server) -> Agent {
    let agent = connect(server);
    agent
        .set_home(&agent.join("lobby").expect("the agent joins the lobby"))
        .expect("the agent joins the lobby");
    agent
}

/// Waits for the first event for which `wanted` returns something, and returns that. Drops earlier events.
///
/// # Panics
/// If none arrives. The message lists the dropped events.
pub fn next<T>(events: &Events, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    let mut others = Vec::new();
    loop {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) => match wanted(&event) {
                Some(found) => return found,
                None => others.push(event),
            },
            Err(error) => panic!("waiting for {what}: {error}. Came instead: {others:#?}"),
        }
    }
}

/// The next message with exactly this text.
pub fn next_message(events: &Events, content: &str) -> Message {
    next(events, content, |event| match event {
        Event::Message(message) if message.content == content => Some(message.clone()),
        _ => None,
    })
}
