//! The platform's rate limits: 10 requests per minute for each endpoint that registers or logs in. They are off by
//! default.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(crate) const LIMITED: [&str; 4] =
    ["/api/auth/register", "/api/auth/login", "/api/bootstrap", "/api/agents/register"];
pub(crate) const MAX: usize = 10;
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// The recent requests to each limited endpoint. The platform counts per address; all clients of a sandbox share one.
#[derive(Debug, Default)]
pub(crate) struct RateLimits(Mutex<HashMap<&'static str, VecDeque<Instant>>>);

impl RateLimits {
    /// Counts a request. Returns the time to wait if it exceeds the limit.
    pub(crate) fn refuse(&self, path: &str) -> Option<Duration> {
        let path = LIMITED.into_iter().find(|limited| *limited == path)?;
        let now = Instant::now();
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = asked.entry(path).or_default();
        while asked.front().is_some_and(|at| now.duration_since(*at) >= WINDOW) {
            asked.pop_front();
        }
        if asked.len() >= MAX {
            return asked.front().map(|first| WINDOW.saturating_sub(now.duration_since(*first)));
        }
        asked.push_back(now);
        None
    }
}
