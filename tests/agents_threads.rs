//! A set of agents has one thread, however many agents it has. The test counts the threads of this process, so no other
//! test may run in it.
#![cfg(all(feature = "agents", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here is a failed test")]

mod common;

use std::time::Duration;

use common::{TestSandbox, eventually, watchdog};
use crustocean::{AgentSet, Event};

/// The threads of this crate.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("crustocean")).count()
}

#[test]
fn one_thread_reads_for_thirty_agents() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let sandbox = TestSandbox::new();
    // Counts the threads of the sandbox that have such a name, if there are any.
    let others = threads();
    let agents = AgentSet::new().unwrap();
    for n in 0..30 {
        agents.add(sandbox.in_lobby(&format!("larry{n}"))).unwrap();
    }
    eventually("one thread", || threads() == others + 1);
    let events = agents.events();
    sandbox.drop_links();
    let mut back = 0;
    while back < 30 {
        let (agent, event) = events.recv_timeout(Duration::from_secs(20)).expect("an event");
        match event.expect("no agent ends") {
            Event::Disconnected { .. } => agent.reconnect_now(),
            Event::Connected { attempt, .. } => back += usize::from(attempt > 0),
            _ => {}
        }
        assert!(threads() <= others + 1 + 64 + 40, "workers and helpers are bounded");
    }
    eventually("one thread again", || threads() == others + 1);
    agents.close().unwrap();
    drop(events);
    eventually("none", || threads() == others);
}
