//! Agents are added and removed while the loop runs.

use std::time::Duration;

use crate::common::{TestSandbox, eventually, wait_for_message, watchdog};
use crate::events::next_message;
use crustocean::{AgentSet, ErrorKind};

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn an_agent_is_in_one_set_at_a_time() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agents, others) = (AgentSet::new().unwrap(), AgentSet::new().unwrap());
    let larry = sandbox.in_lobby("larry");
    agents.add(larry.clone()).unwrap();
    assert_eq!(agents.add(larry.clone()).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(others.add(larry.clone()).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!((agents.len(), others.len()), (1, 0));
    assert!(agents.remove(&larry).unwrap());
    assert!(!agents.remove(&larry).unwrap());
    others.add(larry.clone()).unwrap();
    sandbox.alice_says("hello");
    assert_eq!(next_message(&others.events()).1.content, "hello");
    others.close().unwrap();
    assert!(larry.is_closed());
    assert_eq!(agents.add(larry).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_removed_agent_goes_on_by_itself() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agents = AgentSet::new().unwrap();
    let (larry, mary) = (sandbox.in_lobby("larry"), sandbox.in_lobby("mary"));
    agents.add(larry.clone()).unwrap();
    agents.add(mary).unwrap();
    sandbox.alice_says("one");
    let mut heard = [next_message(&agents.events()).0, next_message(&agents.events()).0]
        .map(|agent| agent.user().username.clone());
    heard.sort();
    assert_eq!(heard, ["larry", "mary"]);
    assert!(agents.remove(&larry).unwrap());
    sandbox.alice_says("two");
    assert_eq!(next_message(&agents.events()).0.user().username, "mary");
    wait_for_message(&larry.events(), "two");
    // The agent reconnects without the set.
    drop(agents);
    sandbox.drop_links();
    eventually("larry is back", || larry.is_connected() && larry.stats().reconnects == 1);
    larry.post("still here").unwrap();
    larry.close().unwrap();
}

#[test]
fn an_agent_that_is_closed_leaves_and_the_others_go_on() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agents = AgentSet::new().unwrap();
    let events = agents.events();
    for n in 0..10 {
        agents.add(sandbox.in_lobby(&format!("larry{n}"))).unwrap();
    }
    for round in 0..5 {
        let gone = agents.all().pop().unwrap();
        gone.clone().close().unwrap();
        agents.add(sandbox.in_lobby(&format!("new{round}"))).unwrap();
        sandbox.alice_says(&format!("round {round}"));
        let mut heard = Vec::new();
        while heard.len() < 10 {
            let (agent, message) = next_message(&events);
            if message.content == format!("round {round}") {
                assert_ne!(agent.user().id, gone.user().id);
                heard.push(agent.user().username.clone());
            }
        }
        heard.sort();
        heard.dedup();
        assert_eq!(heard.len(), 10);
        // The queued events of a closed agent come before its end.
        while agents.len() > 10 {
            let _ = events.recv_timeout(Duration::from_millis(20));
        }
    }
    agents.close().unwrap();
}

#[test]
fn a_dropped_set_lets_go_of_its_agents() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agents = AgentSet::new().unwrap();
    let kept = sandbox.in_lobby("kept");
    agents.add(kept.clone()).unwrap();
    for n in 0..5 {
        agents.add(sandbox.in_lobby(&format!("larry{n}"))).unwrap();
    }
    drop(agents);
    eventually("only one is connected", || sandbox.connections() == 1);
    kept.post("alone").unwrap();
    wait_for_message(&kept.events(), "alone");
    kept.close().unwrap();
}

#[test]
fn other_loops_of_an_agent_in_a_set_get_their_events() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agents = AgentSet::new().unwrap();
    let larry = sandbox.in_lobby("larry");
    agents.add(larry.clone()).unwrap();
    let log = larry.subscribe();
    let events = agents.events();
    for n in 0..10 {
        sandbox.alice_says(&format!("hello {n}"));
        // Tests both orders: the log takes the message first, or the set does.
        if n % 2 == 0 {
            wait_for_message(&log, &format!("hello {n}"));
            assert_eq!(next_message(&events).1.content, format!("hello {n}"));
        } else {
            assert_eq!(next_message(&events).1.content, format!("hello {n}"));
            wait_for_message(&log, &format!("hello {n}"));
        }
    }
    agents.close().unwrap();
}
