//! Keeps the parts of two long messages apart.

use std::time::Instant;

use crate::sync::lock::{Condvar, Mutex};

/// Allows one long message at a time.
#[derive(Debug, Default)]
pub(crate) struct LongSendLock {
    taken: Mutex<bool>,
    free: Condvar,
}

impl LongSendLock {
    pub(super) fn take(&self, until: Instant) -> Option<LongSendGuard<'_>> {
        let taken = self.taken.lock();
        let wait = until.saturating_duration_since(Instant::now());
        let mut taken = self.free.wait_timeout_while(taken, wait, |taken| *taken);
        if *taken {
            return None;
        }
        *taken = true;
        Some(LongSendGuard(self))
    }
}

/// While this guard exists, no other thread sends a long message.
pub(crate) struct LongSendGuard<'a>(&'a LongSendLock);

impl Drop for LongSendGuard<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock() = false;
        self.0.free.notify_one();
    }
}
