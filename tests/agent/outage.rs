//! The server is unreachable for a while, or only seems to be connected.

use std::time::{Duration, Instant};

use crate::common::{FaultyProxy, TestSandbox, wait_for, wait_for_message, watchdog};
use crustocean::{Agent, ErrorKind, Event};
use crustocean_sandbox::Sandbox;

const LIMIT: Duration = Duration::from_secs(180);

fn behind_faulty_proxy(sandbox: &TestSandbox) -> (FaultyProxy, Agent) {
    let address = sandbox.url().strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = FaultyProxy::new(address);
    let agent = Agent::builder().api_url(proxy.url()).connect(sandbox.agent_token("larry")).unwrap();
    (proxy, agent)
}

#[test]
fn the_agent_reconnects_after_an_outage_with_an_expired_session() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (proxy, agent) = behind_faulty_proxy(&sandbox);
    sandbox.add_agency("Elsewhere", &sandbox.alice.id).unwrap();
    agent.set_home(&agent.join("elsewhere").unwrap()).unwrap();
    agent.join("lobby").unwrap();
    let events = agent.events();
    sandbox.expire_sessions();
    std::thread::scope(|scope| {
        scope.spawn(|| proxy.outage(Duration::from_secs(3)));
        wait_for(&events, "disconnected", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
        sandbox.alice_says("meanwhile");
        // Only the agent itself can reconnect.
        let heard = wait_for_message(&events, "meanwhile");
        assert!(heard.replayed);
    });
    agent.reply(&wait_for_next(&sandbox, &events), "here I am").unwrap();
    wait_for_message(&events, "here I am");
    assert_eq!(agent.rooms().len(), 2);
}

fn wait_for_next(sandbox: &TestSandbox, events: &crustocean::Events) -> crustocean::Message {
    sandbox.alice_says("@larry?");
    wait_for_message(events, "@larry?")
}

#[test]
fn a_half_open_connection_is_noticed_and_its_messages_are_not_reported_as_sent() {
    let _watchdog = watchdog(LIMIT);
    let heartbeat = Duration::from_secs(1);
    let sandbox = TestSandbox::with(Sandbox::builder().ping_interval(heartbeat).ping_timeout(heartbeat));
    let (proxy, agent) = behind_faulty_proxy(&sandbox);
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    let events = agent.events();
    proxy.freeze(Duration::from_secs(20));
    let frozen = Instant::now();
    // Only the operating system accepts this message. No server gets it.
    let poster = {
        let agent = agent.clone();
        std::thread::spawn(move || agent.post("into the void"))
    };
    let reason = wait_for(&events, "disconnected", |event| match event {
        Event::Disconnected { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason, "ping timeout");
    // pingInterval plus pingTimeout, plus time for a busy machine.
    assert!(frozen.elapsed() < Duration::from_secs(12), "{:?}", frozen.elapsed());
    // The frozen server has ended, with everything that it had not read.
    proxy.outage(Duration::from_millis(500));
    proxy.freeze(Duration::ZERO);
    match poster.join().unwrap() {
        Ok(message) => panic!("nobody can have seen {message:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotSent, "{error}"),
    }
    assert!(sandbox.messages(&sandbox.lobby_id()).is_empty());
    agent.post("and again").unwrap();
}
