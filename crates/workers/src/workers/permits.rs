//! Limits how many handlers run at the same time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lease::Term;

#[derive(Debug)]
pub(super) struct Permits {
    left: Mutex<usize>,
    freed: Condvar,
}

/// The permission to run one handler. Dropping it allows the next handler to run.
#[derive(Debug)]
pub(super) struct Permit<'p>(&'p Permits);

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Permits { left: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for a permit. `None` when the term ends first.
    pub(super) fn take(&self, term: &Term) -> Option<Permit<'_>> {
        let mut left = self.lock();
        while *left == 0 {
            if !term.should_continue() {
                return None;
            }
            // Wait only a short time, because the end of the term does not wake this thread.
            let wait = Duration::from_millis(50);
            left = self.freed.wait_timeout(left, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        *left -= 1;
        Some(Permit(self))
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_one();
    }
}
