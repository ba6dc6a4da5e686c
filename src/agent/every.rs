//! Work at intervals, as long as the agent lives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent::inner::AgentInner;
use crate::deadline;

/// Ticks at a steady interval until the agent ends. Returned by [`Agent::every`](crate::Agent::every).
///
/// An `Every` does not keep the agent alive.
///
/// ```no_run
/// # use std::time::Duration;
/// # fn demo(agent: &crustocean::Agent, room: crustocean::Room) {
/// let hourly = agent.every(Duration::from_secs(3600));
/// std::thread::spawn(move || {
///     for tick in hourly {
///         room.send("The time flies.").unwrap_or_else(|error| eprintln!("not said: {error}"));
///     }
/// });
/// # }
/// ```
#[derive(Debug)]
#[must_use = "it does nothing unless you iterate over it"]
pub struct Every {
    agent: Arc<AgentInner>,
    interval: Duration,
    next: Instant,
}

/// The shortest interval. Shorter intervals would make a busy loop.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

impl Every {
    pub(crate) fn new(agent: &Arc<AgentInner>, interval: Duration) -> Every {
        let interval = interval.max(MIN_INTERVAL);
        Every { agent: Arc::clone(agent), interval, next: deadline::after(interval) }
    }
}

impl Iterator for Every {
    /// The time at which the tick was due.
    type Item = Instant;

    fn next(&mut self) -> Option<Instant> {
        if self.agent.session.wait_end(self.next) || self.agent.is_closed() {
            return None;
        }
        let due = self.next;
        // Skip the ticks that were missed meanwhile.
        let now = Instant::now();
        while self.next <= now {
            let late = now.saturating_duration_since(self.next);
            let missed = u32::try_from(late.as_nanos() / self.interval.as_nanos().max(1)).unwrap_or(u32::MAX);
            self.next = deadline::later(self.next, self.interval.saturating_mul(missed.saturating_add(1)));
        }
        Some(due)
    }
}
