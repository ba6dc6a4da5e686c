//! What is known to have arrived at the server.

use std::sync::atomic::{AtomicU64, Ordering};

/// How much was sent over a connection, and how much of it is known to have arrived.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    sent: AtomicU64,
    confirmed: AtomicU64,
}

impl Arrivals {
    /// One more event has gone out. Returns its number.
    pub(crate) fn sent_one(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The number of the last event that has gone out.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// All up to this one have arrived: a connection keeps the order.
    pub(crate) fn confirm(&self, number: u64) {
        self.confirmed.fetch_max(number.min(self.sent()), Ordering::AcqRel);
    }

    pub(crate) fn unconfirmed(&self) -> u64 {
        let confirmed = self.confirmed.load(Ordering::Acquire);
        self.sent().saturating_sub(confirmed)
    }
}
