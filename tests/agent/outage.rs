//! The server is gone for a while, or only seems to be there.

use std::time::{Duration, Instant};

use crate::common::{Stage, Weather, wait_for, wait_for_message, watchdog};
use crustocean::{Agent, ErrorKind, Event};
use crustocean_sandbox::Sandbox;

const LIMIT: Duration = Duration::from_secs(90);

fn behind_weather(stage: &Stage) -> (Weather, Agent) {
    let address = stage.sandbox.url().strip_prefix("http://").unwrap().parse().unwrap();
    let weather = Weather::new(address);
    let agent = Agent::builder().api_url(weather.url()).connect(stage.agent_token("larry")).unwrap();
    (weather, agent)
}

#[test]
fn back_after_an_outage_with_the_session_expired_meanwhile() {
    let _watchdog = watchdog(LIMIT);
    let stage = Stage::new();
    let (weather, agent) = behind_weather(&stage);
    stage.sandbox.add_agency("Elsewhere", &stage.alice.id).unwrap();
    agent.set_home(&agent.join("elsewhere").unwrap()).unwrap();
    agent.join("lobby").unwrap();
    let events = agent.events();
    stage.sandbox.expire_sessions();
    std::thread::scope(|scope| {
        scope.spawn(|| weather.outage(Duration::from_secs(3)));
        wait_for(&events, "disconnected", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
        stage.alice_says("meanwhile");
        // Nobody but the agent itself brings it back.
        let heard = wait_for_message(&events, "meanwhile");
        assert!(heard.replayed);
    });
    agent.reply(&wait_for_next(&stage, &events), "here I am").unwrap();
    wait_for_message(&events, "here I am");
    assert_eq!(agent.rooms().len(), 2);
}

fn wait_for_next(stage: &Stage, events: &crustocean::Events) -> crustocean::Message {
    stage.alice_says("@larry?");
    wait_for_message(events, "@larry?")
}

#[test]
fn a_half_open_link_is_noticed_and_nothing_said_into_it_is_called_sent() {
    let _watchdog = watchdog(LIMIT);
    let heartbeat = Duration::from_secs(1);
    let stage = Stage::with(Sandbox::builder().ping_interval(heartbeat).ping_timeout(heartbeat));
    let (weather, agent) = behind_weather(&stage);
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    let events = agent.events();
    weather.freeze(Duration::from_secs(20));
    let frozen = Instant::now();
    // Said into the void: the operating system takes it, and that is all.
    let poster = {
        let agent = agent.clone();
        std::thread::spawn(move || agent.post("into the void"))
    };
    let reason = wait_for(&events, "disconnected", |event| match event {
        Event::Disconnected { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason, "ping timeout");
    // pingInterval and pingTimeout together, and what a busy machine needs.
    assert!(frozen.elapsed() < Duration::from_secs(4), "{:?}", frozen.elapsed());
    // The frozen peer is gone for good, with all that it had not read.
    weather.outage(Duration::from_millis(500));
    weather.freeze(Duration::ZERO);
    match poster.join().unwrap() {
        Ok(message) => panic!("nobody can have seen {message:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotSent, "{error}"),
    }
    assert!(stage.sandbox.messages(&stage.sandbox.lobby_id()).is_empty());
    agent.post("and again").unwrap();
}
