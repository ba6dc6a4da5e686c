//! Each event comes with its agent, in order, and no agent waits for another one.

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::common::{Authority, ScriptedServer, TestSandbox, TlsRelay, eventually, scripted, watchdog};
use crustocean::{Agent, AgentSet, AgentSetEvents, Event};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

/// The next message of any agent, with the agent's name.
pub(crate) fn next_message(events: &AgentSetEvents) -> (Agent, crustocean::Message) {
    loop {
        let (agent, event) = events.recv_timeout(Duration::from_secs(10)).expect("an event");
        if let Event::Message(message) = event.expect("no agent ends") {
            return (agent, message);
        }
    }
}

/// The number of a message from its text.
fn number(text: &str) -> usize {
    text.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn fifty_agents_each_get_their_messages_in_order() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agents = AgentSet::new().unwrap();
    for n in 0..50 {
        agents.add(sandbox.in_lobby(&format!("larry{n}"))).unwrap();
    }
    assert_eq!((agents.len(), agents.all().len()), (50, 50));
    for n in 0..20 {
        sandbox.alice_says(&format!("hello {n}"));
    }
    let mut heard: HashMap<String, Vec<usize>> = HashMap::new();
    let events = agents.events();
    while heard.len() < 50 || heard.values().any(|heard| heard.len() < 20) {
        let (agent, message) = next_message(&events);
        heard.entry(agent.user().username.clone()).or_default().push(number(&message.content));
    }
    assert!(heard.values().all(|heard| heard.iter().copied().eq(0..20)), "{heard:?}");
    agents.close().unwrap();
    assert_eq!(sandbox.connections(), 0);
}

#[test]
fn several_loops_share_the_events_and_may_post_in_them() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agents = AgentSet::new().unwrap();
    for n in 0..8 {
        agents.add(sandbox.in_lobby(&format!("larry{n}"))).unwrap();
    }
    let (answered, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (agents, answered) = (&agents, answered.clone());
            scope.spawn(move || {
                for (agent, event) in agents.events() {
                    if let Ok(Event::Message(message)) = event
                        && message.content.contains("hello")
                    {
                        // `post` waits until the room shows the message, and reads the socket meanwhile.
                        agent.room_of(&message).post("well").expect("it is shown");
                        answered.send(agent.user().username.clone()).unwrap();
                    }
                }
            });
        }
        sandbox.alice_says("hello");
        let mut who: Vec<String> =
            (0..8).map(|_| answers.recv_timeout(Duration::from_secs(20)).expect("an answer")).collect();
        who.sort();
        who.dedup();
        assert_eq!(who.len(), 8, "each once: {who:?}");
        agents.clone().close().unwrap();
    });
}

#[test]
fn a_loud_agent_does_not_starve_the_others() {
    let _watchdog = watchdog(LIMIT);
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let loud = ScriptedServer::start(move |conn| {
        conn.handshake();
        wait.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
        for _ in 0..2000 {
            conn.send_event("loud", json!(1));
        }
        conn.recv(Duration::from_secs(30));
    });
    let quiet = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.send_event("quiet", json!(1));
        conn.recv(Duration::from_secs(30));
    });
    let agents = AgentSet::new().unwrap();
    let events = agents.events();
    let (noisy, shy) = (scripted(&loud), scripted(&quiet));
    agents.add(noisy.clone()).unwrap();
    agents.add(shy.clone()).unwrap();
    go.send(()).unwrap();
    // Waits until all events are queued, before the loop takes one.
    eventually("all waits", || noisy.stats().queued_events >= 500 && shy.stats().queued_events >= 1);
    let other = |event: &Event, name: &str| matches!(event, Event::Other(raw) if raw.name() == name);
    let mut before = 0;
    loop {
        let (_, event) = events.recv_timeout(Duration::from_secs(10)).unwrap();
        let event = event.unwrap();
        before += usize::from(other(&event, "loud"));
        if other(&event, "quiet") {
            break;
        }
    }
    assert!(before < 10, "{before} of the loud one before one of the quiet one");
    agents.close().unwrap();
}

#[test]
fn over_tls() {
    let _watchdog = watchdog(LIMIT);
    if !cfg!(any(feature = "tls-rustls", feature = "tls-native")) {
        return;
    }
    let sandbox = TestSandbox::new();
    let authority = Authority::new();
    let relay = TlsRelay::start(&authority.identity("localhost"), sandbox.port());
    let agents = AgentSet::new().unwrap();
    for n in 0..5 {
        let token = sandbox.agent_token(&format!("larry{n}"));
        let builder = Agent::builder().api_url(relay.url()).add_root_certificate(authority.pem());
        agents.add(builder.connect_and_join(token, "lobby").unwrap()).unwrap();
    }
    let long = "x".repeat(7000);
    for n in 0..10 {
        sandbox.alice_says(&format!("{long} {n}"));
    }
    let mut heard: HashMap<String, Vec<usize>> = HashMap::new();
    let events = agents.events();
    while heard.len() < 5 || heard.values().any(|heard| heard.len() < 10) {
        let (agent, message) = next_message(&events);
        heard.entry(agent.user().username.clone()).or_default().push(number(&message.content));
    }
    assert!(heard.values().all(|heard| heard.iter().copied().eq(0..10)));
    let agent = agents.all().pop().unwrap();
    agent.room_of(&next_of(&sandbox, &events)).post("over TLS").unwrap();
    agents.close().unwrap();
}

fn next_of(sandbox: &TestSandbox, events: &AgentSetEvents) -> crustocean::Message {
    sandbox.alice_says("one more 1");
    next_message(events).1
}

#[test]
fn heartbeats_are_answered_while_nobody_takes_events() {
    let _watchdog = watchdog(LIMIT);
    let (pong, pongs) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        for _ in 0..3 {
            conn.send_event("noise", json!(1));
            conn.heartbeat();
            pong.send(Instant::now()).unwrap();
        }
        conn.recv(Duration::from_secs(30));
    });
    let agents = AgentSet::new().unwrap();
    agents.add(scripted(&server)).unwrap();
    for _ in 0..3 {
        pongs.recv_timeout(Duration::from_secs(10)).expect("a pong");
    }
    agents.close().unwrap();
}
