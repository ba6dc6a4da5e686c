//! Counts which events the server has certainly received.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of events sent over a connection, and how many of them the server has certainly received.
#[derive(Debug)]
pub(crate) struct Arrivals {
    sent: AtomicU64,
    confirmed: AtomicU64,
    /// Events up to this number never count as unconfirmed.
    not_counted: AtomicU64,
}

impl Default for Arrivals {
    /// Until [`count_from_now`](Arrivals::count_from_now), no event counts as unconfirmed: the events that restore a
    /// connection are no messages of the program, and the next connection sends them again.
    fn default() -> Self {
        Self { sent: AtomicU64::new(0), confirmed: AtomicU64::new(0), not_counted: AtomicU64::new(u64::MAX) }
    }
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

    /// Lets the events from now on count as unconfirmed.
    pub(crate) fn count_from_now(&self) {
        self.not_counted.store(self.sent(), Ordering::Release);
    }

    /// How many events the server may not have received. Events that restore the connection do not count.
    pub(crate) fn unconfirmed(&self) -> u64 {
        let confirmed = self.confirmed.load(Ordering::Acquire).max(self.not_counted.load(Ordering::Acquire));
        self.sent().saturating_sub(confirmed)
    }
}

/// Names the last events sent, for a text.
pub(crate) fn last_events(count: u64) -> String {
    match count {
        1 => "the last event sent (a message, an edit or an update of a run)".to_owned(),
        _ => format!("the last {count} events sent (messages, edits and updates of runs)"),
    }
}
