//! The standard library's types, without poisoning.

pub(crate) use std::sync::MutexGuard;
use std::sync::PoisonError;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
pub(crate) use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// A lock. If a thread panics while it holds the lock, other threads go on: our code leaves the data consistent after every
/// statement.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condition variable for one [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Condvar::default()
    }

    /// Releases the lock and waits for a notification, for `limit` at most. May return earlier.
    pub(crate) fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        match limit {
            None => self.0.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => self.0.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0,
        }
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// The moment on the clock that only moves forward.
pub(crate) fn now() -> Instant {
    Instant::now()
}
