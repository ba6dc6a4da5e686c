//! Measures an agent and the bare loop against the replay server, which runs on a thread of this process. To quote
//! ratios, use `benches/run`, which runs each client in a process of its own.
#![allow(clippy::expect_used, reason = "a bench that fails should stop")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crustocean::{Agent, Event, agent::RecvError};
use crustocean_bench::bare::{Bare, BareHttp};
use crustocean_bench::{TOKEN, replay};
use divan::Bencher;
use divan::counter::ItemsCount;
use serde_json::json;

/// The number of messages in an iteration.
const BATCH: usize = 5000;

fn main() {
    divan::main();
}

fn join(url: &str) -> Agent {
    let token = TOKEN.parse().expect("a token");
    let agent = Agent::builder().api_url(url).connect(token).expect("connects");
    agent.set_home(&agent.join("lobby").expect("joins")).expect("joins");
    agent
}

#[divan::bench(args = [120, 2000], max_time = 2)]
fn events(bencher: Bencher<'_, '_>, size: usize) {
    let agent = join(&replay::start());
    let mut events = agent.events();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        agent.raw().emit("flood", &json!({ "count": BATCH, "size": size })).expect("a send");
        let messages = events.by_ref().filter(|event| matches!(event, Ok(Event::Message(_))));
        assert_eq!(messages.take(BATCH).count(), BATCH);
    });
}

#[divan::bench(args = [120, 2000], max_time = 2)]
fn events_bare(bencher: Bencher<'_, '_>, size: usize) {
    let mut bare = Bare::join(&replay::start());
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        bare.ask(BATCH, size);
        (0..BATCH).for_each(|_| drop(bare.message()));
    });
}

/// Several threads take events in turn. Each thread decodes its own events.
#[divan::bench(args = [1, 2, 4], max_time = 2)]
fn events_by_threads(bencher: Bencher<'_, '_>, threads: usize) {
    let agent = join(&replay::start());
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        agent.raw().emit("flood", &json!({ "count": BATCH, "size": 120 })).expect("a send");
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let events = agent.events();
                    while taken.load(Ordering::Relaxed) < BATCH {
                        match events.recv_timeout(Duration::from_millis(1)) {
                            Ok(Event::Message(_)) => drop(taken.fetch_add(1, Ordering::Relaxed)),
                            Ok(_) | Err(RecvError::Timeout) => {}
                            Err(error) => panic_with(&error),
                        }
                    }
                });
            }
        });
    });
}

#[expect(clippy::panic, reason = "a bench that fails should stop")]
fn panic_with(error: &RecvError) {
    panic!("{error}");
}

/// Sends a command and waits for its result.
#[divan::bench(max_time = 1)]
fn ack(bencher: Bencher<'_, '_>) {
    let agent = join(&replay::start());
    let room = agent.rooms().pop().expect("a room");
    bencher.bench_local(|| room.command("/dice 6").send().expect("an answer"));
}

#[divan::bench(max_time = 1)]
fn ack_bare(bencher: Bencher<'_, '_>) {
    let mut bare = Bare::join(&replay::start());
    bencher.bench_local(|| bare.call());
}

/// Connects and joins a room. This includes the REST calls.
#[divan::bench(max_time = 1)]
fn connect_to_joined(bencher: Bencher<'_, '_>) {
    let url = replay::start();
    bencher.bench_local(|| join(&url));
}

#[divan::bench(max_time = 1)]
fn connect_to_joined_bare(bencher: Bencher<'_, '_>) {
    let url = replay::start();
    bencher.bench_local(|| {
        BareHttp::new(&url).before_join();
        Bare::join(&url)
    });
}
