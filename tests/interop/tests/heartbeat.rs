//! The server pings every 300 ms and closes a connection whose pong is 200 ms late. The user's code may be slow, but
//! the crate must answer.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crustocean::Event;
use crustocean_interop::{LOBBY, Server, in_lobby, json, next_message, watchdog};

const LIMIT: Duration = Duration::from_secs(60);

fn impatient() -> Server {
    Server::start(json!({"pingInterval": 300, "pingTimeout": 200}))
}

/// Checks that there was only one connection, with a pong for (nearly) every ping.
fn assert_unbroken(server: &Server, alive: Duration) {
    assert_eq!(server.log(&["connect"]).len(), 1, "one connection all the while");
    let ends = server.log(&["disconnect", "engine-close"]);
    assert!(ends.is_empty(), "{ends:?}");
    let pongs = server.log(&["packet"]).iter().filter(|packet| packet["type"] == "pong").count();
    // A ping comes 300 ms after the last pong, not 300 ms after the last ping.
    let expected = (alive.as_millis() / 500) as usize;
    assert!(pongs >= expected, "{pongs} pongs in {alive:?}");
}

#[test]
fn a_handler_that_blocks_for_three_seconds_keeps_the_connection() {
    let _watchdog = watchdog(LIMIT);
    let server = impatient();
    let agent = in_lobby(&server);
    let events = agent.events();
    server.alice_says(LOBBY, "think");
    next_message(&events, "think");
    let started = Instant::now();
    sleep(Duration::from_secs(3)); // the handler
    agent.send("thought").unwrap();
    next_message(&events, "thought");
    assert_unbroken(&server, started.elapsed());
}

#[test]
fn a_handler_that_blocks_misses_no_message() {
    let _watchdog = watchdog(LIMIT);
    let server = impatient();
    let agent = in_lobby(&server);
    let events = agent.events();
    let started = Instant::now();
    // The handler of the first message does not return for three seconds.
    let mut said = 0;
    while started.elapsed() < Duration::from_secs(3) {
        server.alice_says(LOBBY, &format!("number {said}"));
        said += 1;
        sleep(Duration::from_millis(20));
    }
    assert_unbroken(&server, started.elapsed());
    for number in 0..said {
        let heard = loop {
            match events.recv_timeout(Duration::from_secs(10)).unwrap() {
                Event::Message(message) => break message.content,
                Event::Connected { .. } | Event::AgencyJoined(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(heard, format!("number {number}"));
    }
}

#[test]
fn an_agent_that_never_reads_its_events_stays_connected() {
    let _watchdog = watchdog(LIMIT);
    let server = impatient();
    let agent = in_lobby(&server);
    let started = Instant::now();
    for _ in 0..6 {
        sleep(Duration::from_millis(500));
        agent.send("tick").unwrap();
    }
    assert_unbroken(&server, started.elapsed());
    assert_eq!(server.wait_events(LIMIT, 6, "send-message").len(), 6);
}
