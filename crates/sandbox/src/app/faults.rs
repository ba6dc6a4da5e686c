//! Misbehaviour on demand: the next requests fail or are late.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;

use crate::error::{ApiError, ApiResult};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) failures: VecDeque<Failure>,
    pub(crate) delays: VecDeque<Duration>,
    /// Rooms whose history nobody may read.
    pub(crate) closed_histories: HashSet<String>,
    pub(crate) slow_hooks: Option<Duration>,
    pub(crate) clocks: Clocks,
}

/// Several clocks that differ, asked one after the other.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    offsets_ms: VecDeque<i64>,
    /// Messages are kept in the order of their times, not of their arrival.
    sorted: bool,
}

/// What has been asked for and has not happened yet.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Pending>);

impl Faults {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fail_next(&self, count: usize, status: u16, retry_after: Option<Duration>) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.lock().failures.extend(std::iter::repeat_n(Failure { status, retry_after }, count));
    }

    pub(crate) fn delay_next(&self, count: usize, delay: Duration) {
        self.lock().delays.extend(std::iter::repeat_n(delay, count));
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

    pub(crate) fn set_clocks(&self, offsets_ms: &[i64], sorted: bool) {
        self.lock().clocks = Clocks { offsets_ms: offsets_ms.iter().copied().collect(), sorted };
    }

    /// The time of the next message, and whether its place depends on that.
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
}
