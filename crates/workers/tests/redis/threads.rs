//! A system that gives no threads: nothing panics, and waiting cures it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crustocean_workers::{ErrorKind, Intake, Placement, Stop, Store};

use crate::rig::LONG;
use crate::support::{Redis, eventually};

const URL: &str = "REDIS_OF_A_PROCESS_WITHOUT_THREADS";

/// Runs [`in_a_process_without_threads`] in a process in which no stack of a thread fits into the address space.
#[test]
fn without_threads_nothing_panics() {
    let redis = Redis::start();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "threads::in_a_process_without_threads", "--test-threads=1", "--nocapture"]);
    let output =
        child.env(URL, redis.url()).env("RUST_MIN_STACK", (1_u64 << 47).to_string()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("the placement goes on"), "{output:?}");
}

#[test]
fn in_a_process_without_threads() {
    let Ok(url) = std::env::var(URL) else { return };
    let (store, ttl) = (Store::open(&url).unwrap(), Duration::from_millis(100));
    let lease = store.lease("report").unwrap().ttl(ttl);
    eventually("Redis runs for longer than a term", LONG, || match lease.try_acquire() {
        Ok(term) => {
            assert!(term.is_none(), "a term without threads");
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::System, "{error}");
            true
        }
    });
    let error = Intake::new(&store, "larry").unwrap().run(&Stop::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::System, "{error}");

    let (stop, calls) = (Stop::new(), Arc::new(AtomicUsize::new(0)));
    let (stopper, counter) = (stop.clone(), Arc::clone(&calls));
    let agents = move || {
        if counter.fetch_add(1, Ordering::SeqCst) == 3 {
            stopper.stop();
        }
        vec!["one".to_owned()]
    };
    let placement = Placement::new(&store, "bots", agents).unwrap().machine("a").ttl(ttl);
    placement.run(&stop, |_, _| Ok(())).unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    println!("the placement goes on");
}
