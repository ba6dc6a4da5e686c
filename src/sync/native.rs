//! The standard library's types.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
pub(crate) use std::thread::{Builder, JoinHandle};
use std::time::Instant;

pub(crate) use super::lock::{Condvar, Mutex, MutexGuard};

/// The moment on the clock that only moves forward.
pub(crate) fn now() -> Instant {
    Instant::now()
}
