//! The end of an agent, of the set, and of the program.

use std::time::Duration;

use crate::common::{ScriptedServer, TestSandbox, eventually, scripted, watchdog};
use crate::events::next_message;
use crustocean::agent::{Reconnect, RecvError};
use crustocean::{Agent, AgentSet, ErrorKind, Event, Stop};

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn an_agent_that_ends_with_an_error_says_so_once() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
    });
    let agents = AgentSet::new().unwrap();
    agents.add(sandbox.in_lobby("larry")).unwrap();
    let brief = Agent::builder()
        .api_url(server.url())
        .reconnect(Reconnect::Never)
        .connect("sk_x".parse().unwrap())
        .unwrap();
    // The agent may have ended already.
    let added = agents.add(brief.clone());
    if added.is_ok() {
        let events = agents.events();
        let error = loop {
            let (agent, event) = events.recv_timeout(Duration::from_secs(10)).expect("an event");
            if let Err(error) = event {
                assert_eq!(agent.user().id, brief.user().id);
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::Connect);
    }
    assert_eq!(agents.len(), 1);
    sandbox.alice_says("hello");
    assert_eq!(next_message(&agents.events()).0.user().username, "larry");
    agents.close().unwrap();
}

#[test]
fn close_ends_the_loops_and_all_agents() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agents = AgentSet::new().unwrap();
    for n in 0..10 {
        agents.add(sandbox.in_lobby(&format!("larry{n}"))).unwrap();
    }
    let handles = agents.all();
    let loops: Vec<_> = (0..3)
        .map(|_| {
            let events = agents.events();
            std::thread::spawn(move || events.filter(|(_, event)| event.is_err()).count())
        })
        .collect();
    let events = agents.events();
    agents.close().unwrap();
    assert!(loops.into_iter().all(|thread| thread.join().unwrap() == 0));
    assert!(handles.iter().all(Agent::is_closed));
    assert!(matches!(events.try_recv(), Err(RecvError::Closed)));
    assert_eq!(sandbox.connections(), 0);
}

#[test]
fn a_stop_ends_the_loops_and_all_agents() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let stop = Stop::new();
    let agents = AgentSet::with_stop(&stop).unwrap();
    for n in 0..5 {
        let token = sandbox.agent_token(&format!("larry{n}"));
        agents.add(sandbox.builder().stop(&stop).connect_and_join(token, "lobby").unwrap()).unwrap();
    }
    let events = agents.events();
    let looping = std::thread::spawn(move || events.count());
    stop.stop();
    looping.join().unwrap();
    assert!(agents.all().iter().all(Agent::is_closed));
    eventually("all have said goodbye", || sandbox.connections() == 0);
    agents.close().unwrap();
    // Also tests a set whose `Stop` is already stopped.
    let stopped = AgentSet::with_stop(&stop).unwrap();
    assert!(matches!(stopped.events().try_recv(), Err(RecvError::Closed)));
}

#[test]
fn a_set_that_has_ended_takes_no_agent() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let stop = Stop::new();
    let (closed, stopped) = (AgentSet::new().unwrap(), AgentSet::with_stop(&stop).unwrap());
    closed.clone().close().unwrap();
    stop.stop();
    for agents in [closed, stopped] {
        assert_eq!(agents.add(larry.clone()).map_err(|error| error.kind()), Err(ErrorKind::Closed));
        assert!(agents.is_empty());
    }
    // The agent works on, and another set can take it.
    let agents = AgentSet::new().unwrap();
    agents.add(larry).unwrap();
    sandbox.alice_says("hello");
    assert_eq!(next_message(&agents.events()).1.content, "hello");
    agents.close().unwrap();
}

#[test]
fn an_empty_set_waits_for_its_first_agent() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.recv(Duration::from_secs(30));
    });
    let agents = AgentSet::new().unwrap();
    let events = agents.events();
    assert!(agents.is_empty() && matches!(events.try_recv(), Err(RecvError::Empty)));
    assert!(matches!(events.recv_timeout(Duration::from_millis(20)), Err(RecvError::Timeout)));
    let looping = std::thread::spawn(move || events.recv_timeout(Duration::from_secs(20)));
    agents.add(scripted(&server)).unwrap();
    assert!(matches!(looping.join().unwrap(), Ok((_, Ok(Event::Connected { .. })))));
    agents.close().unwrap();
}
