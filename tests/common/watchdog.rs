//! Ends a test that hangs.

use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// Aborts the process when the test takes too long. Bind it to a name, because dropping it cancels it.
#[must_use = "bind it to a name: dropping it calls the watchdog off"]
#[derive(Debug)]
pub struct Watchdog {
    _running: Sender<()>,
}

/// Aborts the process with a message if the guard is still there after `limit`.
///
/// A hanging test cannot be stopped from inside, and a hanging test runner does not say why.
pub fn watchdog(limit: Duration) -> Watchdog {
    let (running, ended) = mpsc::channel();
    let test = thread::current().name().unwrap_or("without a name").to_owned();
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // Not `eprintln!`, which the test harness would capture.
                let message = format!("\nwatchdog: test {test} still runs after {limit:?}, aborting\n");
                let _ = std::io::stderr().write_all(message.as_bytes());
                std::process::abort();
            }
        })
        .expect("a thread for the watchdog");
    Watchdog { _running: running }
}
