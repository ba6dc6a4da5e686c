//! Several threads iterate over one agent's events. Each event goes to one thread, none is lost at a reconnect, and no thread
//! idles while another one holds events back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::common::{SOON, TestSandbox, eventually, watchdog};
use crustocean::{Agent, Event};

const LIMIT: Duration = Duration::from_secs(120);

/// Ends the loops, even if the test fails.
struct Closing(Agent);

impl Drop for Closing {
    fn drop(&mut self) {
        let _ = self.0.clone().close();
    }
}

/// Runs this number of threads over the agent's events until `meanwhile` returns.
fn pool(agent: &Agent, threads: usize, handle: impl Fn(Event) + Sync, meanwhile: impl FnOnce()) {
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| agent.events().for_each(|event| handle(event.unwrap())));
        }
        let _closing = Closing(agent.clone());
        meanwhile();
    });
}

#[test]
fn no_event_is_lost_or_doubled_over_many_reconnects() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let heard: Mutex<HashMap<String, usize>> = Mutex::default();
    let count = AtomicUsize::new(0);
    let handle = |event| match event {
        Event::Message(message) => {
            *heard.lock().unwrap().entry(message.content).or_default() += 1;
            count.fetch_add(1, Ordering::SeqCst);
        }
        Event::Disconnected { .. } | Event::ConnectFailed { .. } => agent.reconnect_now(),
        // The test closes the agent as soon as it has all messages, which may interrupt the reading of the last gap.
        Event::GapNotFilled { error, .. } if !error.is_closed() => panic!("{error}"),
        _ => {}
    };
    const CUTS: usize = 40;
    const EACH: usize = 50;
    pool(&agent, 4, handle, || {
        for cut in 0..CUTS {
            for n in 0..EACH {
                sandbox.alice_says(&format!("{cut}/{n}"));
                if n == EACH / 2 {
                    sandbox.drop_links();
                }
            }
            eventually("all of it", || count.load(Ordering::SeqCst) >= (cut + 1) * EACH);
        }
    });
    let heard = heard.into_inner().unwrap();
    let doubled: Vec<_> = heard.iter().filter(|(_, times)| **times != 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    assert_eq!(heard.len(), CUTS * EACH);
}

#[test]
fn missed_events_are_distributed_too() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    // Two messages are handled at the same time.
    let (busy, changed) = (Mutex::new(0), Condvar::new());
    let handle = |event| {
        let Event::Message(message) = event else { return };
        assert!(message.replayed);
        *busy.lock().unwrap() += 1;
        changed.notify_all();
        let together = changed.wait_timeout_while(busy.lock().unwrap(), SOON, |busy| *busy < 2).unwrap();
        assert!(!together.1.timed_out(), "a thread idles while there is something to do");
    };
    pool(&agent, 4, handle, || {
        eventually("everybody waits", || agent.is_connected());
        sandbox.drop_links();
        sandbox.alice_says("one");
        sandbox.alice_says("two");
        let deadline = Instant::now() + SOON;
        while *busy.lock().unwrap() < 2 && Instant::now() < deadline {
            let waiting = changed.wait_timeout(busy.lock().unwrap(), Duration::from_millis(100)).unwrap();
            drop(waiting);
        }
        assert_eq!(*busy.lock().unwrap(), 2);
    });
}
