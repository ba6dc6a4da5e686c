//! How many handlers may run at a time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lease::Term;

#[derive(Debug)]
pub(super) struct Permits {
    left: Mutex<usize>,
    freed: Condvar,
}

/// Given back when dropped.
#[derive(Debug)]
pub(super) struct Permit<'p>(&'p Permits);

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Permits { left: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for one; `None` when the term ends before.
    pub(super) fn take(&self, term: &Term) -> Option<Permit<'_>> {
        let mut left = self.lock();
        while *left == 0 {
            if !term.goes_on() {
                return None;
            }
            let glance = Duration::from_millis(50);
            left = self.freed.wait_timeout(left, glance).unwrap_or_else(PoisonError::into_inner).0;
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
