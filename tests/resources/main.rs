//! Measures threads and memory of this process, so no other test may run in it.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a failure here is a failed test"
)]

#[path = "../common/mod.rs"]
mod common;

mod agent;
mod wakeups;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A test holds this while it measures.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
