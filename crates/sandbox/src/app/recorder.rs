//! Records the events and requests of clients for tests.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bounded::Bounded;

/// How many entries each list keeps. A full list drops its oldest entry.
const KEPT: usize = 10_000;
/// How many bytes each of the three lists keeps. One event can have a megabyte.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// A recorded event. Its payload is stored as text, which takes less memory than a parsed value.
#[derive(Debug)]
struct Entry {
    number: u64,
    name: String,
    payload: Arc<str>,
}

impl Entry {
    fn value(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Records {
    events: Bounded<Entry>,
    handshakes: Bounded<Arc<str>>,
    requests: Bounded<String>,
    arrived: u64,
    /// For each name, the number of the last event that `next` has returned.
    taken: HashMap<String, u64>,
}

impl Default for Records {
    fn default() -> Self {
        Records {
            events: Bounded::new(KEPT, KEPT_BYTES),
            handshakes: Bounded::new(KEPT, KEPT_BYTES),
            requests: Bounded::new(KEPT, KEPT_BYTES),
            arrived: 0,
            taken: HashMap::new(),
        }
    }
}

/// Events from clients, CONNECT payloads and REST requests, in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    records: Mutex<Records>,
    arrived: Condvar,
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an event and handles it, in one step: a test that sees the event also sees its effect, and the other way round.
    /// The handler must not use the recorder.
    pub(crate) fn event<T>(&self, name: &str, payload: &Value, handle: impl FnOnce() -> T) -> T {
        let payload = Arc::<str>::from(payload.to_string());
        let mut records = self.lock();
        records.arrived += 1;
        let size = payload.len() + name.len();
        let entry = Entry { number: records.arrived, name: name.to_owned(), payload };
        records.events.push(entry, size);
        let result = handle();
        drop(records);
        self.arrived.notify_all();
        result
    }

    pub(crate) fn handshake(&self, auth: &Value) {
        let auth = Arc::<str>::from(auth.to_string());
        let size = auth.len();
        self.lock().handshakes.push(auth, size);
        self.arrived.notify_all();
    }

    pub(crate) fn request(&self, line: String) {
        let size = line.len();
        self.lock().requests.push(line, size);
    }

    pub(crate) fn events(&self) -> Vec<(String, Value)> {
        // Copy the texts first, so that parsing does not hold the lock.
        let events: Vec<_> =
            self.lock().events.iter().map(|entry| (entry.name.clone(), entry.payload.clone())).collect();
        events
            .into_iter()
            .map(|(name, text)| (name, serde_json::from_str(&text).unwrap_or_default()))
            .collect()
    }

    pub(crate) fn handshakes(&self) -> Vec<Value> {
        self.lock().handshakes.iter().map(|text| serde_json::from_str(text).unwrap_or_default()).collect()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.lock().requests.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        let mut records = self.lock();
        let arrived = records.arrived;
        *records = Records { arrived, ..Records::default() };
    }

    /// Waits until there are `count` events called `name`, and returns them. Returns fewer at the time limit.
    pub(crate) fn wait(&self, name: &str, count: usize, timeout: Duration) -> Vec<Value> {
        self.wait_for(timeout, |records| {
            let found = records.events.iter().filter(|entry| entry.name == name);
            let found: Vec<Value> = found.take(count).map(Entry::value).collect();
            let enough = found.len() >= count;
            (found, enough)
        })
    }

    /// The first event called `name` that this method has not returned before.
    pub(crate) fn next(&self, name: &str, timeout: Duration) -> Option<Value> {
        self.wait_for(timeout, |records| {
            let taken = records.taken.get(name).copied().unwrap_or(0);
            let found = records.events.iter().find(|entry| entry.name == name && entry.number > taken);
            let found = found.map(|entry| (entry.number, entry.value()));
            if let Some((number, _)) = &found {
                records.taken.insert(name.to_owned(), *number);
            }
            let enough = found.is_some();
            (found.map(|(_, value)| value), enough)
        })
    }

    fn wait_for<T>(&self, timeout: Duration, mut search: impl FnMut(&mut Records) -> (T, bool)) -> T {
        let deadline = Instant::now() + timeout;
        let mut records = self.lock();
        loop {
            let (found, enough) = search(&mut records);
            let left = deadline.saturating_duration_since(Instant::now());
            if enough || left.is_zero() {
                return found;
            }
            records = self.arrived.wait_timeout(records, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
