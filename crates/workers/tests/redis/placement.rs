//! Distributes agents over machines.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use crustocean_workers::{Placement, Stop};

use crate::support::{Redis, eventually};

const TTL: Duration = Duration::from_millis(600);
const LONG: Duration = Duration::from_secs(20);

#[test]
fn agents_are_spread_evenly_and_move_when_machines_start_and_end() {
    let redis = Redis::start();
    // Which machine runs which agent now. No two machines may run the same agent.
    let running: Mutex<HashMap<String, &str>> = Mutex::default();
    let count = |machine: &str| running.lock().unwrap().values().filter(|name| **name == machine).count();
    let stops = [Stop::new(), Stop::new(), Stop::new()];
    let run = |machine: &'static str, stop: &Stop| {
        let agents = || (0..12).map(|n| format!("bot{n}")).collect();
        let placement = Placement::new(&redis.store(), "bots", agents).unwrap().machine(machine).ttl(TTL);
        let work = |term: &crustocean_workers::Term, agent: &str| {
            assert_eq!(running.lock().unwrap().insert(agent.to_owned(), machine), None, "{agent} runs twice");
            while term.should_continue() {
                term.wait_for_end(LONG);
            }
            running.lock().unwrap().remove(agent);
            Ok(())
        };
        placement.run(stop, work).unwrap();
    };
    let run = &run;
    std::thread::scope(|scope| {
        let [a, b, c] = &stops;
        let first = scope.spawn(move || run("a", a));
        eventually("one has all", LONG, || count("a") == 12);
        scope.spawn(move || run("b", b));
        eventually("two have half each", LONG, || count("a") == 6 && count("b") == 6);
        scope.spawn(move || run("c", c));
        eventually("three have a third each", LONG, || {
            ["a", "b", "c"].iter().all(|machine| count(machine) == 4)
        });
        a.stop();
        first.join().unwrap();
        eventually("the two that are left have half each", LONG, || count("b") == 6 && count("c") == 6);
        stops.iter().for_each(Stop::stop);
    });
    assert!(running.lock().unwrap().is_empty());
}
