//! The statistics of a session.

use std::time::{Duration, Instant};

use crate::socket::session::core::SessionCore;
use crate::socket::session::state::Phase;

/// The statistics at one moment.
#[derive(Debug)]
pub(crate) struct SessionStats {
    pub(crate) connected_for: Option<Duration>,
    pub(crate) last_heard: Option<Duration>,
    pub(crate) reconnects: u64,
    pub(crate) queued_events: usize,
    pub(crate) queued_bytes: usize,
}

impl SessionCore {
    pub(crate) fn stats(&self) -> SessionStats {
        let state = self.lock();
        let now = Instant::now();
        let since = |time: Instant| now.saturating_duration_since(time);
        let (queued_events, queued_bytes) = state.queue.size();
        SessionStats {
            connected_for: matches!(state.phase, Phase::Up(_)).then(|| since(state.up_since)),
            last_heard: state.received_at.map(since),
            reconnects: state.generation.saturating_sub(1),
            queued_events,
            queued_bytes,
        }
    }
}
