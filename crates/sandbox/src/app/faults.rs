//! The active faults: failing or late requests, closed connections, refused clients.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::error::{ApiError, ApiResult};

/// How many failures and delays may be pending.
const MAX_PENDING: usize = 100_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
}

/// A repeated fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeated {
    pub(crate) every: Duration,
    pub(crate) next: Instant,
}

impl Repeated {
    pub(crate) fn new(every: Duration) -> Option<Self> {
        let every = every.max(Duration::from_millis(10));
        Some(Repeated { every, next: Instant::now().checked_add(every)? })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) failures: VecDeque<Failure>,
    pub(crate) delays: VecDeque<Duration>,
    /// Rooms whose history answers 403.
    pub(crate) closed_histories: HashSet<String>,
    /// The JSON that histories show in place of messages, by message id.
    pub(crate) altered: HashMap<String, Box<RawValue>>,
    pub(crate) slow_hooks: Option<Duration>,
    pub(crate) clocks: Clocks,
    /// How many of 1,000 requests fail, and with which status.
    pub(crate) fail_rate: Option<(u32, StatusCode)>,
    /// Until this time, the server closes requests and handshakes without a response.
    pub(crate) refuse_until: Option<Instant>,
    pub(crate) drop_links: Option<Repeated>,
    pub(crate) expire_sessions: Option<Repeated>,
}

/// Several clocks that differ, used in turn.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    offsets_ms: VecDeque<i64>,
    /// Whether the history is in the order of the times, not in the order of arrival.
    sorted: bool,
}

impl Clocks {
    pub(crate) fn settings(&self) -> (Vec<i64>, bool) {
        (self.offsets_ms.iter().copied().collect(), self.sorted)
    }
}

/// The active faults.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pending: Mutex<Pending>,
    changed: Notify,
}

impl Faults {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fail_next(&self, count: usize, status: u16, retry_after: Option<Duration>) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut pending = self.lock();
        let count = count.min(MAX_PENDING.saturating_sub(pending.failures.len()));
        pending.failures.extend(std::iter::repeat_n(Failure { status, retry_after }, count));
    }

    pub(crate) fn delay_next(&self, count: usize, delay: Duration) {
        let mut pending = self.lock();
        let count = count.min(MAX_PENDING.saturating_sub(pending.delays.len()));
        pending.delays.extend(std::iter::repeat_n(delay, count));
    }

    pub(crate) fn forbid_history(&self, agency: &str, on: bool) {
        let closed = &mut self.lock().closed_histories;
        if on {
            closed.insert(agency.to_owned());
        } else {
            closed.remove(agency);
        }
    }

    pub(crate) fn check_history(&self, agency: &str) -> ApiResult<()> {
        if self.lock().closed_histories.contains(agency) {
            return Err(ApiError::forbidden("You may not read this history"));
        }
        Ok(())
    }

    pub(crate) fn alter(&self, message: &str, shown: Box<RawValue>) {
        self.lock().altered.insert(message.to_owned(), shown);
    }

    pub(crate) fn set_clocks(&self, offsets_ms: &[i64], sorted: bool) {
        self.lock().clocks = Clocks { offsets_ms: offsets_ms.iter().copied().collect(), sorted };
    }

    /// The time of the next message, and whether the history is sorted by time.
    pub(crate) fn stamp(&self, now_ms: u64) -> (u64, bool) {
        let clocks = &mut self.lock().clocks;
        let offset = clocks.offsets_ms.front().copied().unwrap_or_default();
        if !clocks.offsets_ms.is_empty() {
            clocks.offsets_ms.rotate_left(1);
        }
        (now_ms.saturating_add_signed(offset), clocks.sorted)
    }

    pub(crate) fn set_slow_hooks(&self, delay: Duration) {
        self.lock().slow_hooks = Some(delay).filter(|delay| !delay.is_zero());
    }

    pub(crate) fn slow_hooks(&self) -> Option<Duration> {
        self.lock().slow_hooks
    }

    pub(crate) fn is_refusing(&self) -> bool {
        let mut pending = self.lock();
        pending.refuse_until = pending.refuse_until.filter(|until| *until > Instant::now());
        pending.refuse_until.is_some()
    }

    /// Changes the repeated faults.
    pub(crate) fn repeat(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    pub(crate) fn clear(&self) {
        *self.lock() = Pending::default();
        self.changed.notify_one();
    }

    /// Waits until a repeated fault is due. Returns whether to close connections, and whether to expire sessions.
    pub(crate) async fn due(&self) -> (bool, bool) {
        loop {
            let now = Instant::now();
            let next = {
                let mut pending = self.lock();
                let due = |repeated: &mut Option<Repeated>| {
                    repeated.as_mut().filter(|repeated| repeated.next <= now).is_some_and(|repeated| {
                        repeated.next = now + repeated.every;
                        true
                    })
                };
                let Pending { drop_links, expire_sessions, .. } = &mut *pending;
                let happens = (due(drop_links), due(expire_sessions));
                if happens.0 || happens.1 {
                    return happens;
                }
                let all = [&pending.drop_links, &pending.expire_sessions];
                all.into_iter().flatten().map(|repeated| repeated.next).min()
            };
            match next {
                None => self.changed.notified().await,
                // A fault is due, or the faults have changed: check again.
                Some(next) => drop(tokio::time::timeout(next - now, self.changed.notified()).await),
            }
        }
    }
}
