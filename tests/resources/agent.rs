//! The threads, memory and processor time of an agent. One test, so that nothing else is measured.

use std::time::Duration;

use crate::common::{ScriptedServer, eventually, scripted, watchdog};
use crustocean::Event;

/// The threads of this crate, the resident kB, and the processor time of the whole process.
fn usage() -> (usize, usize, Duration) {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let background = tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with("crustocean"))
        .count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident = resident.trim().trim_end_matches(" kB").parse().unwrap();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // After the name, which may contain anything: fields 14 and 15 of the line, in ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    (background, resident, Duration::from_millis(ticks * 10))
}

/// Checks the processor time of five idle seconds. The limit is far below that of a loop that does not wait, and far above
/// what a busy machine adds. `wakeups` counts how often the threads of an idle agent wake up.
fn idle(what: &str) {
    let before = usage().2;
    std::thread::sleep(Duration::from_secs(5));
    let spent = usage().2.saturating_sub(before);
    assert!(spent <= Duration::from_millis(500), "{what}: {spent:?} of processor time in 5 s");
}

#[test]
fn an_agent_uses_few_threads_and_little_memory() {
    let (_alone, _watchdog) = (crate::alone(), watchdog(Duration::from_secs(180)));

    // A thousand connections, each closed as soon as it is open.
    let server = ScriptedServer::start(|conn| {
        if conn.recv_connect() {
            conn.send_text(r#"40{"sid":"abc"}"#);
        }
    });
    let agent = scripted(&server);
    let (mut links, mut at_hundred) = (0, 0);
    for event in agent.events() {
        match event.unwrap() {
            Event::Disconnected { .. } | Event::ConnectFailed { .. } => agent.reconnect_now(),
            Event::Connected { .. } => links += 1,
            _ => {}
        }
        if links == 100 {
            at_hundred = usage().1;
        }
        if links == 1000 {
            break;
        }
    }
    let growth = usage().1.saturating_sub(at_hundred);
    assert!(growth < 8 * 1024, "{growth} kB more after 900 links");
    // The thread that opened a connection may exist a moment longer.
    eventually("there is one thread, however often", || usage().0 == 1);
    agent.close().unwrap();
    drop(server);
    eventually("the thread is gone", || usage().0 == 0);

    // Measures two idle agents: one has a thread that waits for events. Together they must not exceed the limit of one
    // agent.
    let server = ScriptedServer::start(|conn| {
        conn.handshake();
        conn.recv(Duration::from_secs(60));
    });
    let agent = scripted(&server);
    let events = agent.events();
    let waiting = std::thread::spawn(move || events.filter(|event| event.is_err()).count());
    let other = scripted(&server);
    idle("a loop that waits, and an agent whose events nobody takes");

    // The server ends and refuses every connection from now on.
    drop(server);
    eventually("the loss is noticed", || !agent.is_connected() && !other.is_connected());
    idle("a server that refuses");
    agent.close().unwrap();
    other.close().unwrap();
    waiting.join().unwrap();
    idle("after the end");
}
