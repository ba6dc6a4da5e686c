//! Counts which events the server has certainly received.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of events sent over a connection, and how many of them the server has certainly received.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    sent: AtomicU64,
    confirmed: AtomicU64,
}

impl Arrivals {
    /// Counts a sent event. Returns its number.
    pub(crate) fn sent_one(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The number of the last sent event.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Confirms all events up to this one, because a connection keeps their order.
    pub(crate) fn confirm(&self, number: u64) {
        self.confirmed.fetch_max(number.min(self.sent()), Ordering::AcqRel);
    }

    pub(crate) fn unconfirmed(&self) -> u64 {
        let confirmed = self.confirmed.load(Ordering::Acquire);
        self.sent().saturating_sub(confirmed)
    }
}
