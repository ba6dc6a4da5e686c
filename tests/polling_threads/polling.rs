//! The number of threads with long-polling. One test, so that nothing else is counted.

use std::time::Duration;

use crate::common::{TestSandbox, eventually, wait_for_message, watchdog};
use crustocean::agent::Transport;

fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("crustocean-io") || name.starts_with("crustocean-dns")).count()
}

#[test]
fn polling_uses_one_thread_like_a_websocket() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let sandbox = TestSandbox::new();
    let builder = sandbox.builder().transport(Transport::Polling);
    let agent = builder.connect(sandbox.agent_token("larry")).unwrap();
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    let events = agent.events();
    // A thread sets its name itself, after its start.
    eventually("the background thread runs", || threads() == 1);
    for number in 0..10 {
        agent.send(format!("number {number}.")).unwrap();
        wait_for_message(&events, &format!("number {number}."));
        assert_eq!(threads(), 1);
    }
    sandbox.drop_links();
    eventually("the loss is noticed", || !agent.is_connected());
    agent.send("back").unwrap();
    wait_for_message(&events, "back");
    assert_eq!(threads(), 1);
    agent.close().unwrap();
    eventually("it is gone", || threads() == 0);
}
