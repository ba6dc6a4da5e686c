//! The test server itself: it starts, answers, and ends with its handle.

use std::net::TcpStream;
use std::time::Duration;

use crustocean_interop::{ALICE_NAME, LOBBY, Server, json, watchdog};

#[test]
fn the_server_starts_answers_and_ends_with_its_handle() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let server = Server::start(json!({}));
    assert_eq!(server.engines(), 0);
    let message = server.alice_says(LOBBY, "hello");
    assert_eq!(message["content"], "hello");
    assert_eq!(message["sender_username"], ALICE_NAME);
    assert!(server.log(&[]).is_empty());

    let address = server.url().trim_start_matches("http://").to_owned();
    TcpStream::connect(&address).expect("the server listens");
    drop(server);
    TcpStream::connect(&address).expect_err("the server is gone");
}

#[test]
#[should_panic(expected = "no such command: dance")]
fn an_unknown_command_is_a_failure() {
    let _watchdog = watchdog(Duration::from_secs(60));
    Server::start(json!({})).command(json!({"cmd": "dance"}));
}
