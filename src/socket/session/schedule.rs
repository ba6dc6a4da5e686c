//! The events that a session sends automatically, as data: see [`scheduled`](crate::socket::session::scheduled).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tungstenite::Utf8Bytes;

use crate::deadline;
use crate::socket::session::session_log::{SessionLog, note};

/// The limits for events that wait for a connection. Above a limit, the session drops the oldest events.
const MAX_PENDING: usize = 1024;
const MAX_PENDING_BYTES: usize = 8 << 20;

/// The events that the session sends without another call.
#[derive(Default)]
pub(crate) struct Scheduled {
    repeats: Vec<Repeat>,
    pending: VecDeque<Utf8Bytes>,
    pending_bytes: usize,
}

struct Repeat {
    id: u64,
    frame: Utf8Bytes,
    every: Duration,
    due: Instant,
}

impl Scheduled {
    /// When the next repetition is due, if there is any.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let mut next = self.repeats.first()?.due;
        for repeat in &self.repeats {
            next = next.min(repeat.due);
        }
        Some(next)
    }

    /// Makes all repeated events due, because the server may not know the old events on a new connection.
    pub(crate) fn all_due(&mut self) {
        let now = deadline::now();
        for repeat in &mut self.repeats {
            repeat.due = now;
        }
    }

    pub(super) fn take_due(&mut self) -> Vec<Utf8Bytes> {
        let now = deadline::now();
        let mut frames = Vec::new();
        for repeat in &mut self.repeats {
            if repeat.due <= now {
                repeat.due = deadline::later(now, repeat.every);
                frames.push(repeat.frame.clone());
            }
        }
        frames
    }

    pub(super) fn set(&mut self, id: u64, frame: Utf8Bytes, every: Duration) {
        self.remove(id);
        self.repeats.push(Repeat { id, frame, every, due: deadline::after(every) });
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.repeats.retain(|repeat| repeat.id != id);
    }

    pub(super) fn leave(&mut self, frame: Utf8Bytes, log: &SessionLog) {
        self.pending_bytes += frame.len();
        self.pending.push_back(frame);
        while self.pending.len() > MAX_PENDING || self.pending_bytes > MAX_PENDING_BYTES {
            note!(
                log,
                Warn,
                "too many or too large events wait for the connection: the oldest event is dropped"
            );
            self.take_pending();
        }
    }

    /// Takes the oldest event that waits. The caller must send it before newer events.
    pub(crate) fn take_pending(&mut self) -> Option<Utf8Bytes> {
        let frame = self.pending.pop_front()?;
        self.pending_bytes -= frame.len();
        if self.pending.is_empty() {
            self.pending.shrink_to(8);
        }
        Some(frame)
    }

    pub(crate) fn put_back(&mut self, frame: Utf8Bytes) {
        self.pending_bytes += frame.len();
        self.pending.push_front(frame);
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_the_link_is_bounded() {
        let (mut scheduled, log) = (Scheduled::default(), SessionLog::new(""));
        for n in 0..3000 {
            scheduled.leave(format!("{n}").into(), &log);
        }
        assert_eq!(scheduled.pending(), MAX_PENDING);
        assert_eq!(scheduled.take_pending().unwrap().as_str(), (3000 - MAX_PENDING).to_string());
        for _ in 0..20 {
            scheduled.leave("x".repeat(1 << 20).into(), &log);
        }
        assert_eq!(scheduled.pending(), 8, "by size as well");
    }

    #[test]
    fn a_repetition_is_due_once_each_time() {
        let mut scheduled = Scheduled::default();
        let long = Duration::from_secs(3600);
        scheduled.set(1, "a".into(), long);
        scheduled.set(2, "b".into(), long);
        scheduled.set(1, "c".into(), long);
        assert!(scheduled.take_due().is_empty());
        scheduled.all_due();
        assert_eq!(scheduled.take_due(), ["b", "c"].map(Utf8Bytes::from_static));
        assert!(scheduled.take_due().is_empty() && scheduled.next_due().is_some());
        scheduled.remove(1);
        scheduled.remove(2);
        assert_eq!(scheduled.next_due(), None);
    }
}
