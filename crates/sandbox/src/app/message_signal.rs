//! Wakes threads that wait for a message.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Counts messages and edits. A thread waits for the count to change.
#[derive(Debug, Default)]
pub(crate) struct MessageSignal {
    count: Mutex<u64>,
    changed: Condvar,
}

impl MessageSignal {
    pub(crate) fn count(&self) -> u64 {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notify(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Waits until the count differs from `seen`, or until `deadline`.
    pub(crate) fn wait(&self, seen: u64, deadline: Instant) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while *count == seen {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            count = self.changed.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
