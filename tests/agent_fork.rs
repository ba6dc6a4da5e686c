//! After a fork the child cannot use the parent's connection, and does not disturb it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed test")]
#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::{Authority, TestSandbox, TlsRelay, wait_for_message, watchdog};
use crustocean::{Client, ErrorKind, PersonalAccessToken, config::Tls};
use fork::{Fork, fork, waitpid};

#[test]
fn an_agent_is_refused_in_a_child_and_the_parent_goes_on() {
    let _watchdog = watchdog(Duration::from_secs(30));
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let events = agent.events();
    let (mut ours, mut childs) = UnixStream::pair().unwrap();
    match fork().unwrap() {
        Fork::Child => {
            // The child has no other threads, so nothing here may wait for one.
            let refused = agent.send("from the child").is_err_and(|error| error.kind() == ErrorKind::Closed);
            let no_events = events.try_recv().is_err();
            drop((events, agent));
            let _ = write!(childs, "{refused} {no_events}");
            // No destructors from here on, because the sandbox belongs to the parent.
            std::process::exit(0);
        }
        Fork::Parent(child) => {
            drop(childs);
            let mut said = String::new();
            ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            ours.read_to_string(&mut said).unwrap();
            waitpid(child).unwrap();
            assert_eq!(said, "true true");
            agent.send("from the parent").unwrap();
            wait_for_message(&events, "from the parent");
            assert_eq!(sandbox.handshakes().len(), 1);
        }
    }
}

/// Otherwise parent and child would share sockets and read each other's responses.
#[test]
fn a_client_is_refused_in_a_child_and_the_parent_goes_on() {
    let _watchdog = watchdog(Duration::from_secs(30));
    let sandbox = TestSandbox::new();
    let client = sandbox.client();
    // Opens a connection that could be shared.
    assert_eq!(client.account().me().unwrap().username, "alice");
    let (mut ours, mut childs) = UnixStream::pair().unwrap();
    match fork().unwrap() {
        Fork::Child => {
            let refused = client.account().me().is_err_and(|error| error.kind() == ErrorKind::Closed);
            drop(client);
            let _ = write!(childs, "{refused}");
            std::process::exit(0);
        }
        Fork::Parent(child) => {
            drop(childs);
            let mut said = String::new();
            ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            ours.read_to_string(&mut said).unwrap();
            waitpid(child).unwrap();
            assert_eq!(said, "true");
            for _ in 0..30 {
                assert_eq!(client.account().me().unwrap().username, "alice");
            }
        }
    }
}

/// With TLS, parent and child would share the keys and the state of a connection, too. A client that the child builds
/// itself works.
#[test]
fn a_client_over_tls_is_refused_in_a_child_and_a_new_one_works() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let sandbox = TestSandbox::new();
    let authority = Authority::new();
    let relay = TlsRelay::start(&authority.identity("localhost"), sandbox.port());
    let backends: &[Tls] = &[
        #[cfg(feature = "tls-rustls")]
        Tls::Rustls,
        #[cfg(feature = "tls-native")]
        Tls::Native,
    ];
    for tls in backends.iter().copied() {
        let build = || {
            let token: PersonalAccessToken = sandbox.alice.token.parse().unwrap();
            let builder = Client::builder().api_url(relay.url()).tls(tls);
            builder.add_root_certificate(authority.pem()).build(token).unwrap()
        };
        let client = build();
        assert_eq!(client.account().me().unwrap().username, "alice");
        let (mut ours, mut childs) = UnixStream::pair().unwrap();
        match fork().unwrap() {
            Fork::Child => {
                let refused = client.account().me().is_err_and(|error| error.kind() == ErrorKind::Closed);
                drop(client);
                let name = build().account().me().map(|user| user.username);
                let _ = write!(childs, "{refused} {}", name.unwrap_or_else(|error| error.to_string()));
                std::process::exit(0);
            }
            Fork::Parent(child) => {
                drop(childs);
                let mut said = String::new();
                ours.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                ours.read_to_string(&mut said).unwrap();
                waitpid(child).unwrap();
                assert_eq!(said, "true alice", "{tls:?}");
                for _ in 0..30 {
                    assert_eq!(client.account().me().unwrap().username, "alice", "{tls:?}");
                }
            }
        }
    }
}
