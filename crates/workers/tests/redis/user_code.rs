//! The code of the program may panic and block: handlers, callbacks, filters, lists and connections.

use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use crustocean_workers::{HandlerError, Output, Placement, Shard, Stop, Task, Term, Workers};

use crate::rig::{LONG, Rig, echo};
use crate::support::{Redis, eventually};

const TTL: Duration = Duration::from_secs(1);

/// Waits until the intake has read the history of the room.
fn intake_runs(rig: &Rig) {
    let key = format!("crustocean:{{agent:larry}}:room:{}", rig.platform.rooms[0]);
    eventually("the intake runs", LONG, || rig.redis.command(&["EXISTS", &key]) == "1");
}

#[test]
fn a_callback_that_panics_or_blocks_does_not_keep_the_next_from_being_called() {
    let redis = Redis::start();
    for blocks in [false, true] {
        let lease = redis.store().lease("report").unwrap().ttl(TTL);
        let term = lease.acquire(&Stop::new()).unwrap().unwrap();
        let (free, blocked) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        term.on_end(move |_| {
            assert!(blocks, "a callback that panics");
            let _ = blocked.recv();
        });
        term.on_end(move |end| tell.send(end).unwrap());
        term.request_end();
        told.recv_timeout(LONG).unwrap();
        drop(free);
    }
}

#[test]
fn work_that_panics_ends_no_other_agent() {
    let (redis, stop) = (Redis::start(), Stop::new());
    let calls = AtomicUsize::new(0);
    let agents = || vec!["good".to_owned(), "bad".to_owned()];
    let placement = Placement::new(&redis.store(), "bots", agents).unwrap().machine("a").ttl(TTL);
    let work = |term: &Term, agent: &str| {
        assert!(agent == "good" || calls.fetch_add(1, Ordering::SeqCst) > 0, "work that panics");
        while term.should_continue() {
            term.wait_for_end(LONG);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let running = scope.spawn(|| placement.run(&stop, work));
        eventually("the work begins again", LONG, || calls.load(Ordering::SeqCst) == 2);
        assert!(!running.is_finished());
        stop.stop();
        running.join().unwrap().unwrap();
    });
}

#[test]
fn a_list_of_agents_that_panics_ends_the_placement_with_an_error() {
    let (redis, stop) = (Redis::start(), Stop::new());
    let panics = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let also = Arc::clone(&panics);
        let agents = move || {
            assert!(!also.load(Ordering::SeqCst), "a list that panics");
            vec!["one".to_owned()]
        };
        let placement = Placement::new(&redis.store(), "bots", agents).unwrap().machine("a").ttl(TTL);
        let (begin, begun) = mpsc::channel();
        let work = move |term: &Term, _: &str| {
            let _ = begin.send(());
            while term.should_continue() {
                term.wait_for_end(LONG);
            }
            Ok(())
        };
        let stop = &stop;
        let running = scope.spawn(move || placement.run(stop, work));
        begun.recv_timeout(LONG).unwrap();
        panics.store(true, Ordering::SeqCst);
        let error = running.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("a list that panics"), "{error}");
    });
}

/// Asks once. The workers must answer, and not end.
fn workers_go_on(
    make: impl Fn(&Rig) -> Workers,
    handler: impl Fn(&Task<'_>) -> Result<String, HandlerError> + Sync,
) {
    let rig = Rig::start(1);
    let (intake, workers) = (rig.intake(), make(&rig));
    thread::scope(|scope| {
        scope.spawn(|| intake.run(&rig.stop));
        let running = scope.spawn(|| workers.run(&rig.stop, &handler));
        intake_runs(&rig);
        rig.platform.ask(0, "q1");
        eventually("the answer", LONG, || running.is_finished() || !rig.platform.answers(0).is_empty());
        let ended = running.is_finished();
        rig.stop.stop();
        let result = running.join().unwrap();
        assert!(!ended, "{result:?}");
    });
}

/// Panics when it is shown.
#[derive(Debug)]
struct Unshowable;

impl std::fmt::Display for Unshowable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("shown")
    }
}

impl std::error::Error for Unshowable {}

/// Panics when it is dropped.
struct BadDrop;

impl Drop for BadDrop {
    fn drop(&mut self) {
        panic!("dropped")
    }
}

#[test]
fn a_handler_may_fail_in_any_way() {
    let tries = AtomicUsize::new(0);
    let handler = |task: &Task<'_>| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Err(Box::new(Unshowable) as HandlerError),
        1 => panic_any(BadDrop),
        _ => echo(task),
    };
    workers_go_on(
        |rig| rig.workers("one").retry(Duration::from_millis(10), Duration::from_millis(10)),
        handler,
    );
}

#[test]
fn a_connection_that_panics_ends_no_workers() {
    let make = |rig: &Rig| {
        let (connect, calls) = (rig.platform.connect(), AtomicUsize::new(0));
        let output = Output::direct(move |builder| {
            assert!(calls.fetch_add(1, Ordering::SeqCst) > 0, "a connection that panics");
            connect(builder)
        });
        rig.workers("one").output(output).retry(Duration::from_millis(10), Duration::from_millis(10))
    };
    workers_go_on(make, echo);
}

#[test]
fn a_connection_that_blocks_keeps_no_other_shard() {
    let rig = Rig::start(8);
    let (free, blocked) = mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let workers = rig.workers("one").output(Output::direct(move |_| {
        let _ = blocked.lock().unwrap().recv();
        panic!("never connected")
    }));
    let intake = rig.intake();
    let count = |has: fn(&Shard) -> bool| rig.status().shards.iter().filter(|shard| has(shard)).count();
    thread::scope(|scope| {
        scope.spawn(|| intake.run(&rig.stop));
        let running = scope.spawn(|| workers.run(&rig.stop, echo));
        intake_runs(&rig);
        (0..8).for_each(|room| drop(rig.platform.ask(room, "q")));
        eventually("several shards answer", LONG, || count(|shard| shard.pending > 0) > 1);
        rig.stop.stop();
        // The one whose connection blocks.
        eventually("the other shards are free", LONG, || count(|shard| shard.owner.is_some()) == 1);
        drop(free);
        running.join().unwrap().unwrap();
    });
}

#[test]
fn the_shortest_and_the_longest_times_are_allowed() {
    let tries = AtomicUsize::new(0);
    let make = |rig: &Rig| rig.workers("one").ttl(Duration::ZERO).retry(Duration::ZERO, Duration::ZERO);
    workers_go_on(make, |task| {
        if tries.fetch_add(1, Ordering::SeqCst) == 0 { Err("no".into()) } else { echo(task) }
    });

    // The question waits for ever, and the workers go on.
    let (rig, tried) = (Rig::start(1), AtomicBool::new(false));
    let (intake, workers) = (rig.intake(), rig.workers("one").retry(Duration::MAX, Duration::MAX));
    let failing = |_: &Task<'_>| {
        tried.store(true, Ordering::SeqCst);
        Err::<String, HandlerError>("not today".into())
    };
    thread::scope(|scope| {
        scope.spawn(|| intake.run(&rig.stop));
        let running = scope.spawn(|| workers.run(&rig.stop, failing));
        intake_runs(&rig);
        rig.platform.ask(0, "q1");
        eventually("a try", LONG, || tried.load(Ordering::SeqCst));
        rig.stop.stop();
        running.join().unwrap().unwrap();
    });
}

#[test]
fn rooms_that_panic_end_the_intake_and_its_lease() {
    let rig = Rig::start(1);
    let intake = rig.intake().rooms(|_| panic!("rooms that panic"));
    thread::scope(|scope| {
        // It may panic itself, as `rooms` does.
        let running = scope.spawn(|| intake.run(&rig.stop));
        eventually("the intake ends", LONG, || running.is_finished());
        let _ = running.join();
    });
}

#[test]
fn a_filter_that_panics_loses_no_question() {
    let rig = Rig::start(1);
    let intake = rig.intake().filter(|agent, message| {
        assert!(!message.content.contains("poison"), "a filter that panics");
        agent.should_respond(message)
    });
    thread::scope(|scope| {
        let running = scope.spawn(|| intake.run(&rig.stop));
        intake_runs(&rig);
        rig.platform.ask(0, "poison");
        rig.platform.ask(0, "q2");
        let stored = || rig.status().shards.iter().map(|shard| shard.lag).sum::<usize>();
        eventually("both questions are stored", LONG, || running.is_finished() || stored() == 2);
        assert!(!running.is_finished());
        rig.stop.stop();
        running.join().unwrap().unwrap();
    });
}

/// Blocks while a test says so.
struct Logger;

static BLOCKED: AtomicBool = AtomicBool::new(false);

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {
        while BLOCKED.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_logger_that_blocks_delays_no_end_of_a_term() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let redis = Redis::start();
    let lease = redis.store().lease("report").unwrap().ttl(TTL);
    let term = lease.acquire(&Stop::new()).unwrap().unwrap();
    let (tell, told) = mpsc::channel();
    term.on_end(move |end| tell.send(end).unwrap());
    BLOCKED.store(true, Ordering::SeqCst);
    redis.command(&["SET", "crustocean:{report}:lease", "somebody"]);
    let end = told.recv_timeout(LONG);
    BLOCKED.store(false, Ordering::SeqCst);
    end.unwrap();
}
