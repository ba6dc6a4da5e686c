//! After a fork the child cannot use the parent's connection, and does not disturb it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed test")]
#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::{Stage, wait_for_message, watchdog};
use crustocean::ErrorKind;
use fork::{Fork, fork, waitpid};

#[test]
fn an_agent_is_refused_in_a_child_and_the_parent_goes_on() {
    let _watchdog = watchdog(Duration::from_secs(30));
    let stage = Stage::new();
    let agent = stage.in_lobby("larry");
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
            assert_eq!(stage.sandbox.handshakes().len(), 1);
        }
    }
}

/// Otherwise parent and child would share sockets and read each other's responses.
#[test]
fn a_client_is_refused_in_a_child_and_the_parent_goes_on() {
    let _watchdog = watchdog(Duration::from_secs(30));
    let stage = Stage::new();
    let client = stage.client();
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
