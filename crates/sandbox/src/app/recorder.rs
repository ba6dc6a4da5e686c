//! What clients did, kept for the tests that look at it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A server that runs for days must not grow: the oldest entries go.
pub(crate) const KEPT: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) events: VecDeque<(String, Value)>,
    pub(crate) handshakes: VecDeque<Value>,
    pub(crate) requests: VecDeque<String>,
}

/// Client-to-server events, CONNECT payloads and REST requests in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) records: Mutex<Records>,
    pub(crate) arrived: Condvar,
}

fn keep<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(item);
}

impl Recorder {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event on record and handles it, as one step: a test that sees the event sees its effect, too, and one
    /// that sees the effect finds the event. The handler must not use the recorder.
    pub(crate) fn event<T>(&self, name: &str, payload: Value, handle: impl FnOnce() -> T) -> T {
        let mut records = self.lock();
        keep(&mut records.events, (name.to_owned(), payload));
        let result = handle();
        drop(records);
        self.arrived.notify_all();
        result
    }

    pub(crate) fn handshake(&self, auth: Value) {
        keep(&mut self.lock().handshakes, auth);
        self.arrived.notify_all();
    }

    pub(crate) fn request(&self, line: String) {
        keep(&mut self.lock().requests, line);
    }

    pub(crate) fn events(&self) -> Vec<(String, Value)> {
        self.lock().events.iter().cloned().collect()
    }

    pub(crate) fn handshakes(&self) -> Vec<Value> {
        self.lock().handshakes.iter().cloned().collect()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.lock().requests.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        *self.lock() = Records::default();
    }

    /// Waits until `count` events called `name` are on record and returns these, or what there is when time is up.
    pub(crate) fn wait(&self, name: &str, count: usize, timeout: Duration) -> Vec<Value> {
        let deadline = Instant::now() + timeout;
        let mut records = self.lock();
        loop {
            let found: Vec<Value> = records
                .events
                .iter()
                .filter(|(event, _)| event == name)
                .take(count)
                .map(|e| e.1.clone())
                .collect();
            let left = deadline.saturating_duration_since(Instant::now());
            if found.len() >= count || left.is_zero() {
                return found;
            }
            records = self.arrived.wait_timeout(records, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
