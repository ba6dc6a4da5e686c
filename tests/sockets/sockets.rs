//! A closed agent has no open socket, however many handles of it still exist.

use std::time::Duration;

use crate::alone;
use crate::common::{TestSandbox, eventually, watchdog};

/// The open sockets of this process, including those of the sandbox.
fn sockets() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    links
        .filter_map(|link| std::fs::read_link(link.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn close_frees_the_sockets_while_handles_live() {
    let (_alone, _watchdog) = (alone(), watchdog(Duration::from_secs(180)));
    let sandbox = TestSandbox::new();
    let before = sockets();
    let handles: Vec<_> = (0..10)
        .map(|n| {
            let agent = sandbox.connect(&format!("agent{n}"));
            let room = agent.join("lobby").unwrap();
            let handles = (agent.events(), agent.mentions(), room, agent.clone());
            agent.close().unwrap();
            handles
        })
        .collect();
    eventually("all sockets are closed", || sockets() <= before);
    drop(handles);
}
