//! After a fork the child cannot use the parent's connection, and does not disturb it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed test")]
#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::{Authority, SOON, TestSandbox, TlsRelay, wait_for_message, watchdog};
use crustocean::{Client, ErrorKind, PersonalAccessToken, config::Tls};
use fork::{Fork, fork, waitpid};

/// A side of a fork.
enum Side {
    Child(Child),
    /// The parent, with the report of the child. The child has ended.
    Parent(String),
}

struct Child(UnixStream);

impl Child {
    /// Reports to the parent and ends the process, without destructors: the sandbox belongs to the parent.
    fn report(mut self, text: &str) -> ! {
        let _ = self.0.write_all(text.as_bytes());
        std::process::exit(0);
    }
}

/// Forks. The child has no other threads, so nothing in it may wait for one.
fn forked() -> Side {
    let (mut parent_end, child_end) = UnixStream::pair().unwrap();
    match fork().unwrap() {
        Fork::Child => Side::Child(Child(child_end)),
        Fork::Parent(child) => {
            drop(child_end);
            let mut report = String::new();
            parent_end.set_read_timeout(Some(SOON * 2)).unwrap();
            parent_end.read_to_string(&mut report).unwrap();
            waitpid(child).unwrap();
            Side::Parent(report)
        }
    }
}

fn is_closed<T>(outcome: crustocean::Result<T>) -> bool {
    outcome.is_err_and(|error| error.kind() == ErrorKind::Closed)
}

#[test]
fn an_agent_is_refused_in_a_child_and_the_parent_goes_on() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let events = agent.events();
    match forked() {
        Side::Child(child) => {
            let refused = is_closed(agent.send("from the child"));
            let no_events = events.try_recv().is_err();
            drop((events, agent));
            child.report(&format!("{refused} {no_events}"));
        }
        Side::Parent(report) => {
            assert_eq!(report, "true true");
            agent.send("from the parent").unwrap();
            wait_for_message(&events, "from the parent");
            assert_eq!(sandbox.handshakes().len(), 1);
        }
    }
}

/// The threads that serve a set of agents exist only in the parent.
#[cfg(feature = "agents")]
#[test]
fn a_set_of_agents_is_refused_in_a_child_and_the_parent_goes_on() {
    use crustocean::{AgentSet, Event, agent::RecvError};

    let _watchdog = watchdog(Duration::from_secs(180));
    let sandbox = TestSandbox::new();
    let agents = AgentSet::new().unwrap();
    let members = ["larry", "ben"].map(|name| sandbox.in_lobby(name));
    for agent in &members {
        agents.add(agent.clone()).unwrap();
    }
    let alone = sandbox.in_lobby("alone");
    let events = agents.events();
    match forked() {
        Side::Child(child) => {
            let no_events = matches!(events.recv_timeout(SOON), Err(RecvError::Closed));
            let sends = members.iter().all(|agent| is_closed(agent.send("from the child")));
            let changes = is_closed(agents.add(alone)) && agents.remove(&members[0]).is_err();
            drop((events, members, agents));
            child.report(&format!("{no_events} {sends} {changes}"));
        }
        Side::Parent(report) => {
            assert_eq!(report, "true true true");
            agents.add(alone).unwrap();
            sandbox.alice_says("from the parent");
            let mut heard = std::collections::BTreeSet::new();
            while heard.len() < 3 {
                let (agent, event) = events.recv_timeout(SOON).unwrap();
                if matches!(event.unwrap(), Event::Message(message) if message.content == "from the parent") {
                    heard.insert(agent.user().username.clone());
                }
            }
            assert_eq!(sandbox.handshakes().len(), 3);
        }
    }
}

/// Without the refusal, parent and child would share sockets and read each other's responses.
#[test]
fn a_client_is_refused_in_a_child_and_the_parent_goes_on() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let sandbox = TestSandbox::new();
    let client = sandbox.client();
    // Opens a connection that the child would share.
    assert_eq!(client.account().me().unwrap().username, "alice");
    match forked() {
        Side::Child(child) => {
            let refused = is_closed(client.account().me());
            drop(client);
            child.report(&refused.to_string());
        }
        Side::Parent(report) => {
            assert_eq!(report, "true");
            for _ in 0..30 {
                assert_eq!(client.account().me().unwrap().username, "alice");
            }
        }
    }
}

/// With TLS, parent and child would share the keys and the state of a connection, too. A client that the child builds
/// itself works.
#[allow(dead_code, reason = "a build may have no TLS")]
fn a_client_over_tls_is_refused_in_a_child(tls: Tls) {
    let _watchdog = watchdog(Duration::from_secs(180));
    let sandbox = TestSandbox::new();
    let authority = Authority::new();
    let relay = TlsRelay::start(&authority.identity("localhost"), sandbox.port());
    let build = || {
        let token: PersonalAccessToken = sandbox.alice.token.parse().unwrap();
        let builder = Client::builder().api_url(relay.url()).tls(tls);
        builder.add_root_certificate(authority.pem()).build(token).unwrap()
    };
    let client = build();
    assert_eq!(client.account().me().unwrap().username, "alice");
    match forked() {
        Side::Child(child) => {
            let refused = is_closed(client.account().me());
            drop(client);
            let name = build().account().me().map(|user| user.username);
            child.report(&format!("{refused} {}", name.unwrap_or_else(|error| error.to_string())));
        }
        Side::Parent(report) => {
            assert_eq!(report, "true alice");
            for _ in 0..30 {
                assert_eq!(client.account().me().unwrap().username, "alice");
            }
        }
    }
}

#[cfg(feature = "tls-rustls")]
#[test]
fn a_client_over_rustls_is_refused_in_a_child_and_a_new_one_works() {
    a_client_over_tls_is_refused_in_a_child(Tls::Rustls);
}

#[cfg(feature = "tls-native")]
#[test]
fn a_client_over_native_tls_is_refused_in_a_child_and_a_new_one_works() {
    a_client_over_tls_is_refused_in_a_child(Tls::Native);
}
