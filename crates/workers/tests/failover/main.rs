//! Kills and suspends real processes, and restarts Redis. No answer may be lost, doubled or out of order.
//!
//! `CRUSTOCEAN_RUNS` sets the number of runs of 400 questions; the default is one run of each kind. `CRUSTOCEAN_KIND`
//! (0 to 6) makes all runs of one kind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crustocean_workers::{Intake, Output, Status, Stop, Store, Workers};

use support::{Platform, Redis, connect, eventually, join, signal, slow_proxy};

const TTL: Duration = Duration::from_secs(1);
/// For the test that measures a failover: long beside the delays of a busy machine.
const LONG_TTL: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(60);
const ROOMS: usize = 8;
const QUESTIONS: usize = 400;

/// Each test starts several processes, so only one test runs at a time.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The tests start this program again with a role, which this function plays.
#[test]
fn child() {
    let Ok(role) = std::env::var("CRUSTOCEAN_TEST_ROLE") else { return };
    let get = |name: &str| std::env::var(name).unwrap();
    std::thread::spawn(|| {
        // Ends the process if the test that started it is gone.
        std::thread::sleep(Duration::from_secs(300));
        std::process::exit(1);
    });
    let store = Store::open(&get("CRUSTOCEAN_TEST_REDIS")).unwrap();
    let connect = connect(&get("CRUSTOCEAN_TEST_URL"), &get("CRUSTOCEAN_TEST_TOKEN"));
    let ttl = Duration::from_millis(get("CRUSTOCEAN_TEST_TTL").parse().unwrap());
    let stop = Stop::new();
    if role == "holder" {
        let rooms = get("CRUSTOCEAN_TEST_ROOMS").split(',').map(str::to_owned).collect();
        let most = get("CRUSTOCEAN_TEST_MOST").parse().unwrap();
        let intake = Intake::new(&store, "larry").unwrap().connect(connect).rooms(join(rooms));
        intake.ttl(ttl).shards(6).max_waiting(most).run(&stop).unwrap();
    } else {
        let output = if role == "hand-over" { Output::ThroughHolder } else { Output::direct(connect) };
        let workers = Workers::new(&store, "larry").unwrap().output(output).ttl(ttl);
        workers
            .run(&stop, |task| {
                std::thread::sleep(Duration::from_millis(task.message().content.len() as u64 % 4));
                Ok(task.message().content.replace("@larry ", "answer to "))
            })
            .unwrap();
    }
}

struct Rig {
    redis: Redis,
    platform: Arc<Platform>,
    url: String,
    most: usize,
    ttl: Duration,
    processes: Vec<(&'static str, Child)>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        for (_, process) in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Rig {
    fn start(redis: Redis, url: String, output: &'static str, most: usize, ttl: Duration) -> Rig {
        let platform = Arc::new(Platform::start(ROOMS));
        let mut rig = Rig { redis, platform, url, most, ttl, processes: Vec::new() };
        ["holder", "holder", output, output, output].into_iter().for_each(|role| rig.spawn(role));
        eventually("all of it runs", LONG, || {
            let key = |room: &String| format!("crustocean:{{agent:larry}}:room:{room}");
            let read =
                rig.platform.rooms.iter().all(|room| rig.redis.command(&["EXISTS", &key(room)]) == "1");
            read && rig.status().shards.iter().all(|shard| shard.owner.is_some())
                && rig.status().workers.len() == 3
        });
        rig
    }

    fn spawn(&mut self, role: &'static str) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env("CRUSTOCEAN_TEST_ROLE", role)
            .env("CRUSTOCEAN_TEST_REDIS", &self.url)
            .env("CRUSTOCEAN_TEST_URL", self.platform.sandbox.url())
            .env("CRUSTOCEAN_TEST_TOKEN", &self.platform.larry.token)
            .env("CRUSTOCEAN_TEST_ROOMS", self.platform.rooms.join(","))
            .env("CRUSTOCEAN_TEST_MOST", self.most.to_string())
            .env("CRUSTOCEAN_TEST_TTL", self.ttl.as_millis().to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.processes.push((role, child));
    }

    fn status(&self) -> Status {
        Status::read(&self.redis.store(), "larry").unwrap()
    }

    /// The index of the process that holds the connection, or of one that owns a shard.
    fn find(&self, holder: bool) -> Option<usize> {
        let status = Status::read(&self.redis.store(), "larry").ok()?;
        let owner = match holder {
            true => status.holder,
            false => status.shards.into_iter().find_map(|shard| shard.owner),
        };
        let name = owner?.name;
        let pid: u32 = name.rsplit(':').next()?.parse().ok()?;
        self.processes.iter().position(|(_, process)| process.id() == pid)
    }

    fn wait_for(&self, holder: bool) -> usize {
        let mut found = None;
        eventually("somebody has it", LONG, || {
            found = self.find(holder);
            found.is_some()
        });
        found.unwrap()
    }

    /// Kills a process with `kill -9`, and starts another one.
    fn kill(&mut self, holder: bool) {
        let (role, mut process) = self.processes.remove(self.wait_for(holder));
        process.kill().unwrap();
        process.wait().unwrap();
        self.spawn(role);
    }

    /// Suspends a process for longer than its term.
    fn suspend(&self, holder: bool) {
        let pid = self.processes[self.wait_for(holder)].1.id();
        signal(pid, "-STOP");
        std::thread::sleep(TTL * 2);
        signal(pid, "-CONT");
    }
}

fn pause() {
    std::thread::sleep(Duration::from_millis(500));
}

/// One run: 400 questions in 8 rooms, with failures meanwhile.
fn run(number: usize) {
    let only = std::env::var("CRUSTOCEAN_KIND").ok().and_then(|kind| kind.parse().ok());
    let kind: usize = only.unwrap_or(number % 7);
    let what = [
        "a holder and a worker are killed",
        "a holder and a worker stand still for two terms",
        "Redis is killed and started again, with its data",
        "Redis is killed and started again, without its data",
        "Redis is slow, and a worker is killed",
        "the streams are full, and the holder is killed",
        "answers go through the holder, which is killed, and so is a worker",
    ][kind];
    let redis = Redis::with_persistence(kind != 3);
    let url = match kind {
        4 => format!("redis://127.0.0.1:{}", slow_proxy(redis.port, Duration::from_millis(10))),
        _ => redis.url(),
    };
    let most = if kind == 5 { 5 } else { 100_000 };
    let mut rig = Rig::start(redis, url, if kind == 6 { "hand-over" } else { "worker" }, most, TTL);
    let started = Instant::now();
    let platform = Arc::clone(&rig.platform);
    let asker = std::thread::spawn(move || {
        for n in 0..QUESTIONS {
            platform.ask(n % ROOMS, &format!("q{}", n / ROOMS + 1));
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    pause();
    match kind {
        1 => {
            rig.suspend(true);
            rig.suspend(false);
        }
        2 | 3 => {
            rig.redis.kill();
            pause();
            rig.redis.resume();
        }
        4 => rig.kill(false),
        5 => rig.kill(true),
        _ => {
            rig.kill(true);
            pause();
            rig.kill(false);
        }
    }
    asker.join().unwrap();
    let expected: Vec<String> = (1..=QUESTIONS / ROOMS).map(|n| format!("answer to q{n}")).collect();
    for room in 0..ROOMS {
        eventually("all answers", LONG, || rig.platform.answers(room).len() >= expected.len());
    }
    let took = started.elapsed();
    eventually("nothing is left", LONG, || {
        let status = rig.status();
        status.answers == 0 && status.shards.iter().all(|shard| shard.lag + shard.pending == 0)
    });
    for room in 0..ROOMS {
        assert_eq!(rig.platform.answers(room), expected, "run {number}, room {room}: {what}");
    }
    assert_eq!(rig.status().dead, 0);
    println!(
        "run {number}: {QUESTIONS} of {QUESTIONS}, once and in order, in {:.1} s: {what}",
        took.as_secs_f64()
    );
}

#[test]
fn no_answer_is_lost_doubled_or_out_of_order() {
    let _turn = turn();
    let runs = std::env::var("CRUSTOCEAN_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(7);
    (0..runs).for_each(run);
}

#[test]
fn failover_takes_less_than_two_terms() {
    let _turn = turn();
    let redis = Redis::with_persistence(true);
    let url = redis.url();
    let mut rig = Rig::start(redis, url, "worker", 100_000, LONG_TTL);
    for n in 1..=3 {
        let killed = Instant::now();
        rig.kill(true);
        rig.platform.ask(0, &format!("q{n}"));
        eventually("an answer", LONG, || rig.platform.answers(0).len() == n);
        let took = killed.elapsed();
        println!("from the holder's death to the answer: {took:?} with terms of {LONG_TTL:?}");
        assert!(took < LONG_TTL * 2, "{took:?}");
    }
}
