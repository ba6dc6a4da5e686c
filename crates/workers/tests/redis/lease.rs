//! A lease has one holder at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crustocean_workers::{Stop, TermEnd};

use crate::support::{Redis, eventually, signal, slow_proxy};

/// Long enough for a busy machine.
const TTL: Duration = Duration::from_secs(3);

#[test]
fn one_process_holds_the_lease_and_the_fencing_number_grows() {
    let redis = Redis::start();
    let lease = redis.store().lease("report").unwrap().ttl(TTL);
    let stop = Stop::new();
    let first = lease.acquire(&stop).unwrap().unwrap();
    assert!(first.is_held() && lease.try_acquire().unwrap().is_none());
    // Longer than a term, so the lease must have been renewed.
    assert_eq!(first.wait_for_end(TTL * 2), None);
    assert!(first.is_held() && lease.try_acquire().unwrap().is_none());
    let number = first.fence();
    first.release();
    let second = lease.try_acquire().unwrap().unwrap();
    assert!(second.fence() > number);
}

#[test]
fn a_term_is_at_most_an_hour_long() {
    let redis = Redis::start();
    for (wanted, ttl) in [(Duration::MAX, "3600s"), (Duration::ZERO, "100ms")] {
        let lease = redis.store().lease("report").unwrap().ttl(wanted);
        assert!(format!("{lease:?}").contains(&format!("ttl: {ttl}")), "{lease:?}");
    }
}

#[test]
fn when_redis_does_not_answer_the_holder_stops_before_the_term_ends() {
    let redis = Redis::start();
    let lease = redis.store().lease("report").unwrap().ttl(TTL);
    let term = lease.acquire(&Stop::new()).unwrap().unwrap();
    let (tell, told) = mpsc::channel();
    term.on_end(move |end| tell.send((end, Instant::now())).unwrap());
    signal(redis.pid(), "-STOP");
    let stopped = Instant::now();
    let (end, at) = told.recv_timeout(TTL * 3).unwrap();
    signal(redis.pid(), "-CONT");
    assert_eq!(end, TermEnd::Lost);
    assert!(at - stopped < TTL, "{:?}", at - stopped);
    assert!(!term.is_held());
    // A holder that resumes late does not get the lease back.
    eventually("the lease is free", TTL * 4, || lease.try_acquire().unwrap().is_some());
    assert!(!term.is_held());
}

#[test]
fn a_lease_taken_by_another_process_is_lost_at_the_next_renewal() {
    let redis = Redis::start();
    let lease = redis.store().lease("report").unwrap().ttl(TTL);
    let term = lease.acquire(&Stop::new()).unwrap().unwrap();
    redis.command(&["SET", "crustocean:{report}:lease", "somebody"]);
    assert_eq!(term.wait_for_end(TTL * 2), Some(TermEnd::Lost));
    drop(term);
    assert_eq!(redis.command(&["GET", "crustocean:{report}:lease"]), "somebody", "it is not his to give up");
}

#[test]
fn after_a_data_loss_of_redis_the_holder_keeps_the_lease() {
    let mut redis = Redis::start();
    let lease = redis.store().lease("report").unwrap().ttl(TTL * 2);
    let term = lease.acquire(&Stop::new()).unwrap().unwrap();
    let number = term.fence();
    redis.kill();
    redis.resume();
    let until = Instant::now() + TTL * 4;
    while Instant::now() < until {
        assert!(lease.try_acquire().ok().flatten().is_none(), "two holders");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(term.is_held() && term.fence() == number);
    drop(term);
    assert!(lease.acquire(&Stop::new()).unwrap().unwrap().fence() > number);
}

#[test]
fn a_slow_redis_that_answers_within_the_term_does_not_end_it() {
    let redis = Redis::start();
    let port = slow_proxy(redis.port, TTL / 10);
    let store = crustocean_workers::Store::open(&format!("redis://127.0.0.1:{port}")).unwrap();
    let term = store.lease("report").unwrap().ttl(TTL).acquire(&Stop::new()).unwrap().unwrap();
    assert_eq!(term.wait_for_end(TTL * 3), None);
}

#[test]
fn stopped_work_finishes_before_the_lease_is_handed_over() {
    let redis = Redis::start();
    let lease = redis.store().lease("report").unwrap().ttl(TTL);
    let (stop, working) = (Stop::new(), Arc::new(AtomicBool::new(false)));
    let other = {
        let (lease, stop, working) = (lease.clone(), stop.clone(), Arc::clone(&working));
        std::thread::spawn(move || {
            for term in lease.terms(&stop) {
                let term = term.unwrap();
                working.store(true, Ordering::SeqCst);
                assert_eq!(term.wait_for_end(Duration::from_secs(10)), Some(TermEnd::Requested));
                assert!(term.is_held(), "what is under way can be finished");
                working.store(false, Ordering::SeqCst);
            }
        })
    };
    eventually("it works", TTL * 8, || working.load(Ordering::SeqCst));
    stop.stop();
    let asked = Instant::now();
    let held = lease.hold(&Stop::new(), |term| term.is_held()).unwrap();
    assert_eq!(held, Some(true));
    assert!(asked.elapsed() < TTL, "it did not have to wait for the term's end: {:?}", asked.elapsed());
    assert!(!working.load(Ordering::SeqCst));
    other.join().unwrap();
    assert!(lease.acquire(&stop).unwrap().is_none(), "stopped");
}

#[test]
fn a_wrong_password_is_an_error_that_does_not_show_it() {
    let redis = Redis::start();
    redis.command(&["CONFIG", "SET", "requirepass", "right"]);
    let store =
        crustocean_workers::Store::open(&format!("redis://:hunter2@127.0.0.1:{}", redis.port)).unwrap();
    let error = store.lease("report").unwrap().try_acquire().unwrap_err();
    let text = format!("{error} {error:?} {store:?}");
    assert!(!text.contains("hunter2"), "{text}");
}
