//! An idle agent does not wake up. Neither its own thread nor a thread that waits for its events wakes up.

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::{SOON, TRANSPORTS, TestSandbox, eventually, watchdog};
use crustocean::{Agent, Error, Event, Stop};

/// The name of the threads that wait.
const WAITS: &str = "waits";
const IDLE: Duration = Duration::from_secs(2);
/// How long the test waits for the end of earlier work, such as the pause after which a reader leaves the socket to
/// another thread.
const SETTLE: Duration = Duration::from_millis(500);
/// A thread that polls every 50 ms would wake up 40 times.
const MAX_WAKE_UPS: u64 = 4;

/// How often the threads that wait and the threads of this crate have slept.
fn sleeps() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(|task| Some(task.ok()?.path()));
    let ours = tasks.filter(|task| {
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        name.starts_with("crustocean") || name.trim() == WAITS
    });
    ours.filter_map(|task| {
        let status = fs::read_to_string(task.join("status")).ok()?;
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        count.trim().parse::<u64>().ok()
    })
    .sum()
}

/// Asserts that nothing wakes up for a while.
fn rests(what: &str) {
    thread::sleep(SETTLE);
    let before = sleeps();
    thread::sleep(IDLE);
    let woken = sleeps().saturating_sub(before);
    assert!(woken <= MAX_WAKE_UPS, "{what}: {woken} wake-ups in {IDLE:?}");
}

fn waits<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().name(WAITS.to_owned()).spawn(work).unwrap()
}

/// An agent with a loop that waits and a call that waits.
struct Waiting {
    sandbox: TestSandbox,
    stop: Stop,
    agent: Agent,
    heard: mpsc::Receiver<Event>,
    consumer: thread::JoinHandle<()>,
    call: thread::JoinHandle<Error>,
}

/// Tests all transports at once. Together they must not exceed the limit of one.
#[test]
fn an_idle_agent_with_a_stop_does_not_wake_up() {
    let (_alone, _watchdog) = (crate::alone(), watchdog(Duration::from_secs(180)));
    let connected = TRANSPORTS.iter().map(|&transport| {
        let (sandbox, stop) = (TestSandbox::new(), Stop::new());
        let builder = sandbox.builder().transport(transport).stop(&stop);
        let agent = builder.connect(sandbox.agent_token("larry")).unwrap();
        agent.join("lobby").unwrap();
        (sandbox, stop, agent)
    });
    let connected: Vec<_> = connected.collect();
    rests("nobody waits");

    let loops = connected.into_iter().map(|(sandbox, stop, agent)| {
        let (hears, heard) = mpsc::channel();
        let events = agent.events();
        let consumer = waits(move || events.for_each(|event| hears.send(event.unwrap()).unwrap()));
        (sandbox, stop, agent, heard, consumer)
    });
    let loops: Vec<_> = loops.collect();
    rests("a loop");
    let agents = loops.into_iter().map(|(sandbox, stop, agent, heard, consumer)| {
        let asking = agent.clone();
        let call = waits(move || asking.raw().call("question", &1, Duration::from_secs(3600)).unwrap_err());
        Waiting { sandbox, stop, agent, heard, consumer, call }
    });
    let agents: Vec<_> = agents.collect();
    rests("a loop and a call");

    // The agents receive what comes after the rest, and then nothing wakes up again.
    for waiting in &agents {
        while waiting.heard.try_recv().is_ok() {}
        for number in 0..3 {
            waiting.sandbox.alice_says(&format!("number {number}"));
            let text = format!("{:?}", waiting.heard.recv_timeout(SOON).unwrap());
            assert!(text.contains(&format!("number {number}")), "{text}");
        }
    }
    rests("after some events");

    for waiting in agents {
        waiting.stop.stop();
        waiting.consumer.join().unwrap();
        assert!(waiting.call.join().unwrap().is_closed());
        waiting.agent.close().unwrap();
    }
    eventually("all threads are gone", || sleeps() == 0);
}

#[cfg(feature = "agents")]
#[test]
fn an_idle_set_with_a_stop_does_not_wake_up() {
    let (_alone, _watchdog) = (crate::alone(), watchdog(Duration::from_secs(180)));
    let (sandbox, stop) = (TestSandbox::new(), Stop::new());
    let agents = crustocean::AgentSet::with_stop(&stop).unwrap();
    let builder = sandbox.builder().stop(&stop);
    let agent = builder.connect(sandbox.agent_token("larry")).unwrap();
    agents.add(agent.clone()).unwrap();
    let events = agents.events();
    let consumer = waits(move || events.filter(|(_, event)| event.is_err()).count());
    let asking = agent.clone();
    let asks = waits(move || asking.raw().call("question", &1, Duration::from_secs(3600)).unwrap_err());
    rests("a set and a call");
    stop.stop();
    assert!(asks.join().unwrap().is_closed());
    agents.remove(&agent).unwrap();
    drop(agents);
    assert_eq!(consumer.join().unwrap(), 0);
    agent.close().unwrap();
}
