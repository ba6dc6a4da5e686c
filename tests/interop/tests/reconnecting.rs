//! The agent reconnects automatically, with its session if that is still valid, and joins all rooms again.

use std::time::{Duration, Instant};

use crustocean::{Agent, Event, Events, agent::Transport};
use crustocean_interop::{
    AGENT, AGENT_TOKEN, DEN, DM, Entry, LOBBY, Server, connect, in_lobby, json, next, next_message, token,
    watchdog,
};

const LIMIT: Duration = Duration::from_secs(90);
const SOON: Duration = Duration::from_secs(20);

/// Waits until the connection is lost, and returns the reason.
fn next_disconnect(events: &Events) -> String {
    next(events, "Disconnected", |event| match event {
        Event::Disconnected { reason, .. } => Some(reason.to_string()),
        _ => None,
    })
}

/// Waits until the agent has reconnected, and returns the number of attempts.
fn next_connect(events: &Events) -> u32 {
    next(events, "Connected", |event| match event {
        Event::Connected { attempt, .. } => Some(*attempt),
        _ => None,
    })
}

/// An agent whose first `Connected` has been taken.
fn settled(agent: &Agent) -> Events {
    let events = agent.events();
    assert_eq!(next_connect(&events), 0);
    events
}

/// The rooms joined on the accepted socket number `index`, and the events on it.
fn on_connection(server: &Server, index: usize) -> (Vec<String>, Vec<Entry>) {
    let sid = server.log(&["connect"])[index]["sid"].clone();
    let events: Vec<_> = server.log(&["event"]).into_iter().filter(|event| event["sid"] == sid).collect();
    let (joins, others): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|event| event["event"] == "join-agency");
    (joins.iter().map(|join| join.payload()["agencyId"].as_str().unwrap().to_owned()).collect(), others)
}

#[test]
fn after_a_broken_connection_all_rooms_are_joined_again() {
    let _watchdog = watchdog(LIMIT);
    for gently in [false, true] {
        let server = Server::start(json!({"joinDelayMs": 50}));
        let agent = in_lobby(&server);
        agent.join_dms().unwrap();
        let den = agent.join(DEN).unwrap();
        let events = settled(&agent);

        let cut = Instant::now();
        server.command(json!({"cmd": "kill-engine", "gently": gently}));
        assert_eq!(next_disconnect(&events), "transport close");
        // Waits until the connection and the rooms are restored.
        den.send("back again").unwrap();
        let away = cut.elapsed();
        assert!(away > Duration::from_millis(450) && away < Duration::from_secs(5), "away for {away:?}");
        assert_eq!(next_connect(&events), 1);

        assert_eq!(next_message(&events, "back again").agency_id, DEN);
        for room in [LOBBY, DEN, DM] {
            let text = format!("welcome to {room}");
            server.alice_says(room, &text);
            assert_eq!(next_message(&events, &text).agency_id, room);
        }

        let (mut joins, others) = on_connection(&server, 1);
        joins.sort();
        assert_eq!(joins, [DEN, LOBBY, DM]);
        assert_eq!(others.len(), 1, "{others:?}");
        let last_join = server.events("join-agency").last().unwrap().position();
        assert!(last_join < others[0].position(), "nothing is sent before the rooms are joined");

        let tokens: Vec<_> =
            server.log(&["connect"]).iter().map(|entry| entry["auth"]["token"].to_string()).collect();
        assert_eq!(tokens[0], tokens[1], "the session is still good");
        assert_eq!(server.engines(), 1);
    }
}

/// An agent in the lobby with one transport only, so that each attempt is one handshake.
fn in_lobby_by_websocket(server: &Server) -> Agent {
    let builder = Agent::builder().api_url(server.url()).transport(Transport::WebSocket);
    let agent = builder.connect(token(AGENT_TOKEN)).expect("the agent connects");
    agent
        .set_home(&agent.join("lobby").expect("the agent joins the lobby"))
        .expect("the agent joins the lobby");
    agent
}

/// Waits for a failed attempt. Returns its number, the status of the response, and the delay before the next one.
fn next_failure(events: &Events) -> (u32, Option<u16>, Duration) {
    next(events, "ConnectFailed", |event| match event {
        Event::ConnectFailed { error, attempt, retry_in, .. } => Some((*attempt, error.status(), *retry_in)),
        _ => None,
    })
}

/// Whether each handshake was accepted, in order.
fn handshakes(server: &Server) -> Vec<bool> {
    server.log(&["handshake"]).iter().map(|entry| entry["allowed"].as_bool().unwrap()).collect()
}

#[test]
fn the_agent_retries_while_the_server_refuses() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby_by_websocket(&server);
    let events = settled(&agent);
    server.command(json!({"cmd": "deny", "times": 2}));
    server.cut();
    next_disconnect(&events);
    for expected in 1..=2 {
        let (attempt, status, wait) = next_failure(&events);
        // The official server answers an upgrade with 400, whatever the reason.
        assert_eq!((attempt, status), (expected, Some(400)));
        assert!(wait >= Duration::from_millis(500) && wait <= Duration::from_secs(5), "{wait:?}");
    }
    assert_eq!(next_connect(&events), 3);
    assert_eq!(handshakes(&server), [true, false, false, true]);
    let log = server.log(&["handshake"]);
    let gaps: Vec<_> = log.windows(2).map(|two| two[1].at() - two[0].at()).collect();
    assert!(gaps[2] >= 900, "the wait grows: {gaps:?} ms");
    agent.send("here").unwrap();
    next_message(&events, "here");
}

#[test]
fn an_attempt_by_both_transports_counts_once() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let events = settled(&agent);
    // A 403 that does not name the session is a server error: it is retried soon, with the same session.
    server.command(json!({"cmd": "deny", "times": 2}));
    server.cut();
    next_disconnect(&events);
    let (attempt, status, wait) = next_failure(&events);
    assert_eq!((attempt, status), (1, Some(403)));
    assert!(wait <= Duration::from_secs(2), "{wait:?}");
    assert_eq!(handshakes(&server), [true, false, false]);
    let exchanges = server.log(&["http"]).iter().filter(|entry| entry["path"] == "/api/auth/agent").count();
    assert_eq!(exchanges, 1);

    agent.reconnect_now();
    assert_eq!(next_connect(&events), 2);
    agent.send("here").unwrap();
    next_message(&events, "here");
    assert_eq!(server.log(&["connect"])[1]["transport"], "websocket");
}

#[test]
fn an_expired_session_is_renewed_automatically() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let events = settled(&agent);
    server.command(json!({"cmd": "expire"}));
    server.cut();
    next_disconnect(&events);
    let attempt = next(&events, "Connected", |event| match event {
        Event::Connected { attempt, .. } => Some(*attempt),
        Event::ConnectFailed { error, .. } => panic!("a renewal is no failure: {error}"),
        _ => None,
    });
    assert!(attempt >= 1);
    agent.send("with a new session").unwrap();
    next_message(&events, "with a new session");

    let log = server.log(&["http", "refused", "connect"]);
    let exchanges = log.iter().filter(|entry| entry["path"] == "/api/auth/agent").count();
    let refused: Vec<_> = log.iter().filter(|entry| entry["kind"] == "refused").collect();
    let connects: Vec<_> = log.iter().filter(|entry| entry["kind"] == "connect").collect();
    assert_eq!((exchanges, refused.len(), connects.len()), (2, 1, 2));
    assert_eq!(refused[0]["auth"]["token"], connects[0]["auth"]["token"], "the old one is tried first");
    assert_ne!(connects[1]["auth"]["token"], connects[0]["auth"]["token"]);
    assert!(connects[1].at() - refused[0].at() < 1000, "at once");
    // REST uses the new session, too.
    agent.dms().unwrap();
    let bearer = &server.log(&["http"]).pop().unwrap()["headers"]["authorization"].to_string();
    assert!(bearer.contains(connects[1]["auth"]["token"].as_str().unwrap()));
}

#[test]
fn a_revoked_agent_token_ends_the_loop_with_an_error() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    server.command(json!({"cmd": "expire", "agents": true}));
    server.cut();
    let mut events = agent.events();
    let error = loop {
        match events.next() {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the loop ended without a word"),
        }
    };
    assert!(error.is_auth(), "{error}");
    assert!(events.next().is_none(), "an error comes last");
    assert!(agent.send("anybody?").is_err());
    assert_eq!(server.engines(), 0);
}

#[test]
fn a_room_closed_during_the_outage_is_reported_and_left() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = connect(&server);
    agent.join(DEN).unwrap();
    agent.set_home(&agent.join(LOBBY).unwrap()).unwrap();
    let events = settled(&agent);
    server.command(json!({"cmd": "remove", "agent": AGENT, "agency": DEN}));
    server.cut();
    let (room, reason) = next(&events, "RoomLost", |event| match event {
        Event::RoomLost { agency_id, error, .. } => Some((agency_id.clone(), error.to_string())),
        _ => None,
    });
    assert_eq!(room, DEN);
    assert!(reason.contains("Not a member of this agency"), "{reason}");
    agent.send("in the lobby").unwrap();
    assert_eq!(next_message(&events, "in the lobby").agency_id, LOBBY);
    assert_eq!(agent.rooms().len(), 1);
}

#[test]
fn the_agent_survives_many_disconnects() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let events = settled(&agent);
    for round in 1..=4 {
        server.cut();
        next_disconnect(&events);
        next_connect(&events);
        let text = format!("round {round}");
        agent.send(&text).unwrap();
        next_message(&events, &text);
        assert_eq!(server.engines(), 1, "never two connections");
    }
    server.wait_connects(SOON, 5);
}

#[test]
fn the_agent_can_be_closed_while_disconnected() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let events = settled(&agent);
    server.command(json!({"cmd": "deny", "times": 1000}));
    server.cut();
    next_disconnect(&events);
    let started = Instant::now();
    agent.close().unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "took {:?}", started.elapsed());
    // Queued events are still delivered, then the end.
    assert!(events.map(Result::unwrap).count() < 100);
}

#[test]
fn missed_messages_are_read_from_the_history() {
    let _watchdog = watchdog(LIMIT);
    for recovery in [false, true] {
        let server = Server::start(json!({"connectionStateRecovery": recovery}));
        let agent = in_lobby(&server);
        let events = settled(&agent);
        server.alice_says(LOBBY, "before");
        next_message(&events, "before");
        server.cut();
        next_disconnect(&events);
        server.alice_says(LOBBY, "meanwhile 1");
        server.alice_says(LOBBY, "meanwhile 2");
        agent.send("after").unwrap();
        let mut heard = Vec::new();
        next(&events, "after", |event| match event {
            Event::Message(message) => {
                heard.push((message.content.clone(), message.replayed));
                (message.content == "after").then_some(())
            }
            _ => None,
        });
        let texts: Vec<_> = heard.iter().map(|(content, _)| content.as_str()).collect();
        assert_eq!(texts, ["meanwhile 1", "meanwhile 2", "after"], "recovery {recovery}");
        if !recovery {
            assert!(heard[0].1 && heard[1].1 && !heard[2].1, "{heard:?}");
        }
    }
}
