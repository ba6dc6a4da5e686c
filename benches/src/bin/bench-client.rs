//! Makes one measurement in a process of its own: `bench-client <crate|bare> <what> <url> [numbers]`.
//!
//! It prints pairs of the form `name=value`. A client that only connects prints `joined` and waits for the end of
//! standard input.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench that fails should stop"
)]

use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crustocean::config::Tls;
use crustocean::{Agent, AgentSet, Event};
use crustocean_bench::bare::{Bare, BareHttp};
use crustocean_bench::{TOKEN, paging, process, stream};
use serde_json::json;

/// The number of calls before the measured calls.
const WARM_UP: usize = 200;
const LOOP_STACK: usize = 128 << 10;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|text| text.parse::<usize>().ok()).unwrap_or(1);
    let url = args[2].as_str();
    match (args[0].as_str(), args[1].as_str()) {
        ("crate", "events") => crate_events(url, number(3), number(4), number(5)),
        ("bare", "events") => bare_events(url, number(3), number(4)),
        ("crate", "acks") => crate_acks(url, number(3)),
        ("bare", "acks") => bare_acks(url, number(3)),
        ("crate", "join") => wait_joined(&join(url)),
        ("bare", "join") => {
            BareHttp::new(url).before_join();
            wait_joined(&Bare::join(url));
        }
        ("crate", "many") => many(
            number(3),
            || Some(join(url)),
            |agent| {
                for event in agent.events() {
                    drop(event);
                }
            },
        ),
        ("bare", "many") => many(
            number(3),
            || Some(Bare::join_small(url)),
            |mut bare| {
                bare.message();
            },
        ),
        ("crate", "steps") => {
            let ca = (args[5] != "plain").then(|| std::fs::read(&args[6]).expect("a certificate"));
            crustocean_bench::steps::run(url, &args[3], &args[4], &args[5], ca);
        }
        ("crate", "set") => set(url, number(3), number(4), number(5)),
        ("crate", "history") => history(paging::with_crate, url, number(3), number(4)),
        ("bare", "history") => history(paging::bare, url, number(3), number(4)),
        ("crate", "slow") => slow(url, number(3), number(4)),
        _ => panic!("no such measurement: {args:?}"),
    }
    // The process exits without closing the agent, because no measurement includes the close.
    std::process::exit(0);
}

fn join(url: &str) -> Agent {
    let token = TOKEN.parse().expect("a token");
    let mut builder = Agent::builder().api_url(url);
    if let Some((tls, root)) = stream::wanted_tls() {
        builder = builder.add_root_certificate(root);
        builder = builder.tls(if tls == "native" { Tls::Native } else { Tls::Rustls });
    }
    let agent = builder.connect(token).expect("connects");
    agent.set_home(&agent.join("lobby").expect("joins")).expect("joins");
    agent
}

fn wait_joined<T>(_connected: &T) {
    println!("joined");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn report(count: usize, started: Instant, cpu: Duration) {
    let took = started.elapsed().as_secs_f64();
    let cpu = process::cpu_since(cpu).as_secs_f64();
    println!("rate={} cpu={} peak={}", count as f64 / took, cpu / count as f64, process::own("VmHWM"));
}

fn crate_events(url: &str, count: usize, size: usize, threads: usize) {
    let agent = join(url);
    let (cpu, started) = (process::cpu(), Instant::now());
    agent.raw().emit("flood", &json!({ "count": count, "size": size })).expect("a send");
    if threads == 1 {
        let mut left = count;
        for event in agent.events() {
            left = left.saturating_sub(passed(&event.expect("an event")));
            if left == 0 {
                break;
            }
        }
        return report(count, started, cpu);
    }
    let taken = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for event in agent.events().flatten() {
                    let passed = passed(&event);
                    let before = taken.fetch_add(passed, Ordering::Relaxed);
                    if before < count && before + passed >= count {
                        report(count, started, cpu);
                        std::process::exit(0);
                    }
                }
            });
        }
    });
}

/// The number of live messages that an event stands for. On a busy machine a thread may pause until its queue is full.
/// The crate cannot read the messages that it drops then, because the server's history does not have them.
fn passed(event: &Event) -> usize {
    match event {
        Event::Message(message) if !message.replayed => {
            assert!(!message.content.is_empty());
            1
        }
        Event::Lagged { missed, .. } => *missed as usize,
        _ => 0,
    }
}

fn bare_events(url: &str, count: usize, size: usize) {
    let mut bare = Bare::join(url);
    let (cpu, started) = (process::cpu(), Instant::now());
    bare.ask(count, size);
    for _ in 0..count {
        assert!(!bare.message().content.is_empty());
    }
    report(count, started, cpu);
}

/// Makes every call inside a handler, as a bot does.
fn crate_acks(url: &str, count: usize) {
    let agent = join(url);
    let room = agent.rooms().pop().expect("a room");
    agent.raw().emit("flood", &json!({ "count": 1, "size": 120 })).expect("a send");
    for event in agent.events() {
        if let Event::Message(_) = event.expect("an event") {
            return acks(count, || {
                assert!(room.command("/dice 6").send().expect("an answer").ok);
            });
        }
    }
}

fn bare_acks(url: &str, count: usize) {
    let mut bare = Bare::join(url);
    acks(count, || {
        bare.call();
    });
}

fn acks(count: usize, mut call: impl FnMut()) {
    (0..WARM_UP).for_each(|_| call());
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let started = Instant::now();
            call();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    let micros = |at: usize| times[at.min(times.len() - 1)].as_secs_f64() * 1e6;
    println!("p50={} p99={}", micros(count / 2), micros(count * 99 / 100));
}

/// Opens `count` connections. Each has a thread that loops over its events.
fn many<T: Send + 'static>(count: usize, join: impl Fn() -> Option<T> + Sync, run: fn(T)) {
    // The first connection makes the data that all connections share, so it is not measured.
    let first = join().expect("joins");
    thread::sleep(Duration::from_millis(500));
    let before = process::own("VmRSS");
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    let connected = join().expect("joins");
                    let loops = thread::Builder::new().stack_size(LOOP_STACK);
                    loops.spawn(move || run(connected)).map(drop).expect("a thread");
                }
            });
        }
    });
    let took = started.elapsed();
    // The crate frees the buffers that a handshake has filled when nothing arrives for a while.
    thread::sleep(Duration::from_secs(3));
    let after = process::own("VmRSS");
    println!(
        "each={} threads={} secs={}",
        after.saturating_sub(before) as f64 / count as f64,
        process::own("Threads") as f64 / (count + 1) as f64,
        took.as_secs_f64()
    );
    drop(first);
}

/// Measures `count` agents in one set: the memory of each, and how many messages per second `threads` threads handle.
/// Each agent gets 100 messages per second, for `seconds`.
fn set(url: &str, count: usize, seconds: usize, threads: usize) {
    const PACE: usize = 100;
    let agents = AgentSet::new().expect("a set");
    agents.add(join(url)).expect("is added");
    thread::sleep(Duration::from_millis(500));
    let (memory, before) = (process::own("VmRSS"), process::own("Threads"));
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    agents.add(join(url)).expect("is added");
                }
            });
        }
    });
    // Reads the events that arrived while the agents joined.
    while agents.events().recv_timeout(Duration::from_secs(1)).is_ok() {}
    thread::sleep(Duration::from_secs(3));
    let each = process::own("VmRSS").saturating_sub(memory) as f64 / count as f64;
    let more_threads = process::own("Threads") as f64 - before as f64;
    let messages = seconds * PACE;
    let all = agents.all();
    let wanted = all.len() * messages;
    let taken = AtomicUsize::new(0);
    let pace = json!({ "count": messages, "size": 120, "micros": 1_000_000 / PACE });
    let cpu = process::cpu();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut started = None;
                for (_, event) in agents.events() {
                    if let Event::Message(message) = event.expect("an event") {
                        let started = *started.get_or_insert_with(Instant::now);
                        assert!(!message.content.is_empty());
                        if taken.fetch_add(1, Ordering::Relaxed) + 1 == wanted {
                            let took = started.elapsed().as_secs_f64();
                            let cpu = process::cpu_since(cpu).as_secs_f64();
                            println!(
                                "each={each} threads={more_threads} rate={} cores={} peak={}",
                                wanted as f64 / took,
                                cpu / took,
                                process::own("VmHWM")
                            );
                            std::process::exit(0);
                        }
                    }
                }
            });
        }
        for agent in &all {
            agent.raw().emit("pace", &pace).expect("a send");
        }
    });
}

/// Prints the seconds in which `read` reads a history of `count` messages. The caller's own work takes `work`
/// milliseconds for each page.
fn history(read: fn(&str, usize, Duration) -> Duration, url: &str, count: usize, work: usize) {
    let took = read(url, count, Duration::from_millis(work as u64));
    println!("secs={}", took.as_secs_f64());
}

/// Measures a handler that works `micros` on each message, and the most memory that the process uses.
fn slow(url: &str, count: usize, micros: usize) {
    let agent = join(url);
    let (cpu, started) = (process::cpu(), Instant::now());
    agent.raw().emit("flood", &json!({ "count": count, "size": 120 })).expect("a send");
    let mut seen = 0;
    let mut missed = 0;
    while seen + missed < count {
        match agent.events().next() {
            Some(Ok(Event::Message(message))) if !message.replayed => {
                seen += 1;
                let until = Instant::now() + Duration::from_micros(micros as u64);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
            Some(Ok(Event::Lagged { missed: more, .. })) => missed += more as usize,
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    report(count, started, cpu);
}
