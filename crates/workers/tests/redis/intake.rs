//! The intake writes every question to Redis, once and in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crustocean_workers::{Intake, Stop};

use crate::support::{Platform, Redis, eventually};

const TTL: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(20);

fn intake(redis: &Redis, platform: &Platform) -> Intake {
    Intake::new(&redis.store(), "larry")
        .unwrap()
        .connect(platform.connect())
        .rooms(platform.join())
        .ttl(TTL)
        .shards(1)
}

fn length(redis: &Redis) -> usize {
    redis.command(&["XLEN", "crustocean:{agent:larry}:in:0"]).parse().unwrap_or(0)
}

/// The numbers of the questions in the stream.
fn questions(redis: &Redis) -> Vec<u32> {
    let text = redis.command(&["XRANGE", "crustocean:{agent:larry}:in:0", "-", "+"]);
    text.split("@larry q")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().trim_end_matches('\\').parse().unwrap())
        .collect()
}

fn running<T>(intake: &Intake, body: impl FnOnce() -> T) -> T {
    let stop = Stop::new();
    std::thread::scope(|scope| {
        scope.spawn(|| intake.run(&stop).unwrap());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        stop.stop();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn is_up(redis: &Redis, platform: &Platform) -> bool {
    let key = format!("crustocean:{{agent:larry}}:room:{}", platform.rooms[0]);
    redis.command(&["EXISTS", &key]) == "1"
}

#[test]
fn questions_since_the_first_start_are_written_once() {
    let (redis, platform) = (Redis::start(), Platform::start(1));
    platform.ask(0, "q0");
    running(&intake(&redis, &platform), || {
        eventually("it runs", LONG, || is_up(&redis, &platform));
        for n in 1..=20 {
            platform.say(0, "not for larry");
            platform.ask(0, &format!("q{n}"));
        }
        eventually("all of it", LONG, || length(&redis) == 20);
    });
    assert_eq!(questions(&redis), (1..=20).collect::<Vec<_>>());
}

#[test]
fn the_next_holder_reads_the_questions_asked_in_between() {
    let (redis, platform) = (Redis::start(), Platform::start(1));
    running(&intake(&redis, &platform), || {
        eventually("it runs", LONG, || is_up(&redis, &platform));
        platform.ask(0, "q1");
        eventually("the first", LONG, || length(&redis) == 1);
    });
    for n in 2..=150 {
        platform.ask(0, &format!("q{n}"));
    }
    running(&intake(&redis, &platform), || {
        eventually("what was missed", LONG, || length(&redis) == 150);
        platform.ask(0, "q151");
        eventually("and what is new", LONG, || length(&redis) == 151);
    });
    assert_eq!(questions(&redis), (1..=151).collect::<Vec<_>>());
}

#[test]
fn an_intake_that_lost_its_lease_writes_nothing() {
    let (redis, platform) = (Redis::start(), Platform::start(1));
    running(&intake(&redis, &platform), || {
        eventually("it runs", LONG, || is_up(&redis, &platform));
        redis.command(&["SET", "crustocean:{agent:larry}:lease", "somebody", "PX", "60000"]);
        platform.ask(0, "q1");
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(length(&redis), 0);
        redis.command(&["DEL", "crustocean:{agent:larry}:lease"]);
        eventually("its next term makes up for it", LONG, || length(&redis) == 1);
    });
    assert_eq!(questions(&redis), [1]);
}

/// The agent is closed when the term ends, even while it joins rooms.
#[test]
fn losing_the_term_while_joining_rooms_is_not_an_error() {
    let (redis, platform) = (Redis::start(), Platform::start(1));
    let (joining, join) = (AtomicBool::new(false), platform.join());
    let joining = Arc::new(joining);
    let intake = intake(&redis, &platform).rooms({
        let joining = Arc::clone(&joining);
        move |agent| {
            if !joining.swap(true, Ordering::SeqCst) {
                eventually("it is closed", LONG, || join(agent).is_err());
            }
            join(agent)
        }
    });
    running(&intake, || {
        eventually("it joins its rooms", LONG, || joining.load(Ordering::SeqCst));
        redis.command(&["SET", "crustocean:{agent:larry}:lease", "somebody", "PX", "700"]);
        eventually("it runs in its next term", LONG, || is_up(&redis, &platform));
    });
}

#[test]
fn a_full_shard_makes_the_intake_wait_and_loses_nothing() {
    let (redis, platform) = (Redis::start(), Platform::start(1));
    running(&intake(&redis, &platform).max_waiting(10), || {
        eventually("it runs", LONG, || is_up(&redis, &platform));
        for n in 1..=30 {
            platform.ask(0, &format!("q{n}"));
        }
        eventually("it is full", LONG, || length(&redis) == 10);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(length(&redis), 10);
        assert_eq!(questions(&redis), (1..=10).collect::<Vec<_>>());
        redis.command(&["XTRIM", "crustocean:{agent:larry}:in:0", "MAXLEN", "0"]);
        eventually("it goes on", LONG, || questions(&redis) == (11..=20).collect::<Vec<_>>());
        redis.command(&["XTRIM", "crustocean:{agent:larry}:in:0", "MAXLEN", "0"]);
        eventually("to the end", LONG, || questions(&redis) == (21..=30).collect::<Vec<_>>());
    });
}

#[test]
fn after_a_data_loss_of_redis_the_intake_writes_the_questions_again() {
    let (mut redis, platform) = (Redis::start(), Platform::start(1));
    let intake = intake(&redis, &platform);
    running(&intake, || {
        eventually("it runs", LONG, || is_up(&redis, &platform));
        for n in 1..=5 {
            platform.ask(0, &format!("q{n}"));
        }
        eventually("the first", LONG, || length(&redis) == 5);
        redis.kill();
        for n in 6..=10 {
            platform.ask(0, &format!("q{n}"));
        }
        redis.resume();
        eventually("all of it", LONG, || length(&redis) == 10);
        assert_eq!(questions(&redis), (1..=10).collect::<Vec<_>>());
    });
}

#[test]
fn a_different_number_of_shards_is_an_error_that_says_what_to_do() {
    let (redis, platform) = (Redis::start(), Platform::start(1));
    redis.command(&["SET", "crustocean:{agent:larry}:shards", "4"]);
    let error = intake(&redis, &platform).run(&Stop::new()).unwrap_err();
    assert!(error.to_string().contains(".shards(4)"), "{error}");
}
