//! After a lost connection the agent reconnects automatically, and joins its rooms again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::common::{
    SOON, ScriptedServer, TestSandbox, eventually, scripted, wait_for, wait_for_message, watchdog,
};
use crustocean::{Agent, ErrorKind, Event};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

fn is_connected(event: Event) -> Option<()> {
    matches!(event, Event::Connected { .. }).then_some(())
}

#[test]
fn after_a_connection_loss_the_rooms_are_joined_again() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    sandbox.add_agency("First", &sandbox.alice.id).unwrap();
    let agent = sandbox.connect("larry");
    let first = agent.join("first").unwrap();
    agent.set_home(&first).unwrap();
    agent.join("lobby").unwrap();
    let events = agent.events();
    wait_for(&events, "the first link", is_connected);

    sandbox.drop_links();
    let reason = wait_for(&events, "disconnected", |event| match event {
        Event::Disconnected { reason, retry_in, .. } => Some((reason, retry_in)),
        _ => None,
    });
    assert_eq!(reason.0, "transport close");
    assert!(reason.1 >= Duration::from_millis(500) && reason.1 <= Duration::from_secs(1), "{reason:?}");
    wait_for(&events, "the second link", is_connected);
    // Sent without checking the connection: it waits until the rooms are joined again.
    agent.send("back").unwrap();
    assert_eq!(&wait_for_message(&events, "back").agency_id, first.id());
    let joins = sandbox.events().iter().filter(|(name, _)| name == "join-agency").count();
    assert_eq!((joins, sandbox.connections()), (4, 1));
}

#[test]
fn sending_while_disconnected_waits_for_the_connection() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let events = agent.events();
    sandbox.drop_links();
    eventually("the loss is noticed", || !agent.is_connected());
    agent.send("patience").unwrap();
    wait_for_message(&events, "patience");
}

#[test]
fn sending_gives_up_after_its_time_limit() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox
        .builder()
        .send_timeout(Duration::from_millis(200))
        .connect(sandbox.agent_token("larry"))
        .unwrap();
    agent.join("lobby").unwrap();
    let room = agent.rooms().remove(0);
    sandbox.stop();
    eventually("the loss is noticed", || !agent.is_connected());
    let started = Instant::now();
    let error = room.send("anybody?").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent);
    let said = error.to_string();
    assert!(said.contains("no reconnect within 200ms") && said.contains("send it again"), "{said}");
    assert!(error.is_retryable());
    assert!(started.elapsed() >= Duration::from_millis(200) && started.elapsed() < SOON);
}

#[test]
fn an_expired_session_is_renewed() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let events = agent.events();
    wait_for(&events, "the first link", is_connected);
    sandbox.expire_sessions();
    sandbox.drop_links();
    wait_for(&events, "the second link", is_connected);
    agent.send("still me").unwrap();
    wait_for_message(&events, "still me");
    // REST uses the new session, too.
    assert!(!agent.client().agencies().list().unwrap().is_empty());
}

#[test]
fn rest_renews_an_expired_session_automatically() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.connect("larry");
    sandbox.expire_sessions();
    assert_eq!(agent.client().account().me().unwrap().username, "larry");
}

#[test]
fn a_token_revoked_while_connected_is_an_error_at_the_end_of_the_loop() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        if conn.index == 0 {
            conn.handshake();
            return;
        }
        conn.open(Duration::from_secs(25), Duration::from_secs(20));
        conn.expect_connect();
        conn.send_text(r#"44{"message":"Session expired"}"#);
        conn.recv(Duration::from_secs(5));
    });
    let agent = scripted(&server);
    server.on("POST", "/api/auth/agent", |_| {
        crate::common::Response::json(401, json!({"error": "Invalid agent token"}))
    });
    let mut last = None;
    for event in agent.events() {
        assert!(last.is_none(), "an error is the last item");
        if let Err(error) = event {
            last = Some(error);
        }
    }
    assert_eq!(last.unwrap().kind(), ErrorKind::Unauthorized);
    assert!(!agent.is_connected());
    assert_eq!(server.connections().len(), 2);
}

#[test]
fn a_room_that_refuses_to_be_joined_again_is_reported_and_left() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        if conn.index == 0 {
            conn.accept_join();
            return;
        }
        conn.expect_event("join-agency");
        conn.send_event("error", json!({"message": "You are banned"}));
        conn.recv(Duration::from_secs(10));
    });
    let agent = scripted(&server);
    agent.join("lobby").unwrap();
    let (room, why) = wait_for(&agent.events(), "room lost", |event| match event {
        Event::RoomLost { agency_id, error, .. } => Some((agency_id, error.to_string())),
        _ => None,
    });
    assert_eq!(room.as_str(), "ag-1");
    assert!(why.contains("You are banned"), "{why}");
    eventually("the agent is connected", || agent.is_connected());
    assert!(agent.rooms().is_empty());
}

#[test]
fn a_room_without_an_answer_does_not_block_the_others() {
    let _watchdog = watchdog(LIMIT);
    let silent = "00000000-0000-4000-8000-000000000001";
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        if conn.index == 0 {
            conn.accept_join();
            conn.accept_join();
            return;
        }
        while let Some(text) = conn.recv_text(Duration::from_secs(20)) {
            if text.contains("join-agency") && !text.contains(silent) {
                conn.send_event("agency-joined", json!({"agencyId": "ag-1", "members": []}));
            }
        }
    });
    let builder = Agent::builder().api_url(server.url()).join_timeout(Duration::from_millis(500));
    let agent = builder.connect("sk_x".parse().unwrap()).unwrap();
    agent.join(silent).unwrap();
    agent.join("lobby").unwrap();
    let (room, error) = wait_for(&agent.events(), "room lost", |event| match event {
        Event::RoomLost { agency_id, error, .. } => Some((agency_id, error)),
        _ => None,
    });
    assert!(room.as_str() == silent && error.is_timeout(), "{room}: {error}");
    eventually("the agent is connected", || agent.is_connected());
    let rooms: Vec<String> = agent.rooms().iter().map(|room| room.id().to_string()).collect();
    assert_eq!(rooms, ["ag-1"]);
    // The room was asked more than once.
    assert_eq!(server.connections().len(), 4);
}

#[test]
fn a_server_that_closes_at_once_is_retried_with_growing_delays() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        // The fourth connection ends with the test.
        if conn.index < 3 {
            conn.handshake();
        }
    });
    let agent = scripted(&server);
    let times = server.wait_connections(4, Duration::from_secs(20));
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // 0.5-1 s, 1-2 s, 2-4 s: a very short connection does not reset the delay.
    assert!(gaps[0] >= Duration::from_millis(500), "{gaps:?}");
    assert!(gaps[1] >= Duration::from_millis(1000), "{gaps:?}");
    assert!(gaps[2] >= Duration::from_millis(2000), "{gaps:?}");
    agent.close().unwrap();
}

#[test]
fn a_connection_lost_after_the_join_does_not_lose_the_room() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        // The first connection ends as soon as the agent has joined.
        conn.accept_join();
        if conn.index > 0 {
            conn.recv(Duration::from_secs(20));
        }
    });
    let agent = scripted(&server);
    // The first history request is refused, so a second one follows the join. This takes until there is another
    // connection.
    let looks = AtomicUsize::new(0);
    let (next, there) = mpsc::channel::<()>();
    let there = Mutex::new(there);
    server.on("GET", "/api/agencies/ag-1/messages", move |_| {
        if looks.fetch_add(1, Ordering::SeqCst) == 0 {
            return crate::common::Response::json(403, json!({"error": "Not a member"}));
        }
        let _ = there.lock().unwrap().recv_timeout(SOON);
        crate::common::Response::json(200, json!([]))
    });
    std::thread::scope(|scope| {
        let joining = scope.spawn(|| agent.join("lobby").unwrap());
        eventually("the second link is up", || server.connections().len() == 2 && agent.is_connected());
        next.send(()).unwrap();
        joining.join().unwrap();
    });
    assert_eq!(agent.rooms().len(), 1);
    // The room was joined on the second connection.
    agent.close().unwrap();
    server.finish(SOON);
}

#[test]
fn a_message_that_waited_for_the_rooms_is_sent_as_soon_as_they_are_joined() {
    let _watchdog = watchdog(LIMIT);
    // The sender may be the thread that reads while the rooms are joined again. The test repeats this, because it is a
    // race.
    for _ in 0..5 {
        let sandbox = TestSandbox::new();
        let agent = sandbox.in_lobby("larry");
        sandbox.drop_links();
        eventually("the loss is noticed", || !agent.is_connected());
        let started = Instant::now();
        agent.send("now").unwrap();
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    }
}
