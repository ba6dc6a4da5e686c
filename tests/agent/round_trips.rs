//! How many round trips each step takes. Users notice them, because a server is 20 to 200 ms away. When a change makes a count
//! smaller, lower it here.

use std::time::Duration;

use crate::common::{Distance, TestSandbox, at_most, eventually, wait_for, watchdog};
use crustocean::{AgencyId, Agent, Event};

const LIMIT: Duration = Duration::from_secs(180);

fn far_away() -> (TestSandbox, Distance) {
    let sandbox = TestSandbox::new();
    let distance = Distance::from(sandbox.url());
    (sandbox, distance)
}

impl Distance {
    fn connect(&self, sandbox: &TestSandbox, name: &str) -> Agent {
        Agent::builder().api_url(self.url()).connect(sandbox.agent_token(name)).unwrap()
    }
}

/// Makes larry a member of this many more rooms.
fn add_rooms(sandbox: &TestSandbox, count: usize) {
    for n in 0..count {
        let room = sandbox.add_agency(&format!("Room {n}"), &sandbox.alice.id).unwrap();
        sandbox.client().agencies().add_agent(&AgencyId::from(room), "larry").unwrap();
    }
}

#[test]
fn connecting() {
    let _watchdog = watchdog(LIMIT);
    at_most(3, || {
        let (sandbox, distance) = far_away();
        let token = sandbox.agent_token("larry");
        distance.round_trips(|| Agent::builder().api_url(distance.url()).connect(token).unwrap()).1
    });
}

#[test]
fn connecting_and_joining() {
    let _watchdog = watchdog(LIMIT);
    at_most(5, || {
        let (sandbox, distance) = far_away();
        let token = sandbox.agent_token("larry");
        let step = || {
            let agent = Agent::builder().api_url(distance.url()).connect(token).unwrap();
            agent.join("lobby").unwrap();
            agent
        };
        distance.round_trips(step).1
    });
}

#[test]
fn joining_five_more_rooms() {
    let _watchdog = watchdog(LIMIT);
    at_most(2, || {
        let (sandbox, distance) = far_away();
        let agent = distance.connect(&sandbox, "larry");
        agent.join("lobby").unwrap();
        add_rooms(&sandbox, 5);
        let (rooms, trips) = distance.round_trips(|| agent.join_all().unwrap());
        assert_eq!(rooms.len(), 6);
        trips
    });
}

#[test]
fn reading_a_history() {
    let _watchdog = watchdog(LIMIT);
    let (sandbox, distance) = far_away();
    let agent = distance.connect(&sandbox, "larry");
    let room = agent.join("lobby").unwrap();
    sandbox.alice_says("hello");
    let read = |count: usize, expected: usize| {
        let (recent, trips) = distance.round_trips(|| room.recent(count).unwrap());
        assert_eq!(recent.len(), expected);
        trips
    };
    at_most(1, || read(20, 1));
    for n in 0..150 {
        sandbox.alice_says(&format!("message {n}"));
    }
    at_most(2, || read(120, 120));
}

#[test]
fn a_confirmed_message_and_a_command() {
    let _watchdog = watchdog(LIMIT);
    let (sandbox, distance) = far_away();
    let agent = distance.connect(&sandbox, "larry");
    let room = agent.join("lobby").unwrap();
    at_most(1, || distance.round_trips(|| room.post("hello").unwrap()).1);
    at_most(1, || distance.round_trips(|| room.command("/roll 2d6").send().unwrap()).1);
}

#[test]
fn reconnecting() {
    let _watchdog = watchdog(LIMIT);
    at_most(4, || {
        let (sandbox, distance) = far_away();
        let agent = distance.connect(&sandbox, "larry");
        agent.join("lobby").unwrap();
        add_rooms(&sandbox, 4);
        assert_eq!(agent.join_all().unwrap().len(), 5);
        let events = agent.events();
        sandbox.drop_links();
        wait_for(&events, "the loss", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
        let step = || {
            agent.reconnect_now();
            wait_for(&events, "a new one", |event| matches!(event, Event::Connected { .. }).then_some(()));
            eventually("the rooms are joined again", || agent.is_connected());
        };
        distance.round_trips(step).1
    });
}
