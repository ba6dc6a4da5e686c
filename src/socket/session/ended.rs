//! When the server has certainly ended the sessions of earlier connections.
//!
//! A connection that broke on this side may still exist on the server: earlier data may still arrive and have an
//! effect. After the server has ended the session, such data has no effect.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::deadline;

/// How many connections to remember. No thread asks about older connections.
const MAX_CONNECTIONS: usize = 32;
/// The server starts to count the silence a little later than this side.
const MARGIN: Duration = Duration::from_secs(1);
/// The usual silence limit of servers, for a connection without known values.
const USUAL_SILENCE: Duration = Duration::from_secs(45);

/// The ends of the last connections, oldest first, each with its connection's generation.
#[derive(Debug, Default)]
pub(crate) struct EndedConnections(VecDeque<(u64, Instant)>);

impl EndedConnections {
    /// Notes that a connection has ended. `by_server`: the server itself has ended the session. Otherwise the server
    /// ends the session after `silence`.
    pub(crate) fn note(&mut self, generation: u64, by_server: bool, silence: Duration) {
        let wait = if by_server { Duration::ZERO } else { silence.saturating_add(MARGIN) };
        self.0.push_back((generation, deadline::after(wait)));
        if self.0.len() > MAX_CONNECTIONS {
            self.0.pop_front();
        }
    }

    /// When the session of that connection is certainly over.
    pub(crate) fn over_at(&self, generation: u64) -> Instant {
        let known = self.0.iter().find(|(ended, _)| *ended == generation);
        // A forgotten connection ended before all known connections.
        let later = || self.0.iter().map(|(_, at)| *at).max().filter(|_| self.0.len() == MAX_CONNECTIONS);
        known.map(|(_, at)| *at).or_else(later).unwrap_or_else(|| deadline::after(USUAL_SILENCE + MARGIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_over_when_the_server_says_so_or_has_heard_nothing_for_long_enough() {
        let mut ended = EndedConnections::default();
        let now = Instant::now();
        ended.note(1, true, Duration::from_secs(45));
        ended.note(2, false, Duration::from_secs(10));
        assert!(ended.over_at(1) < now + MARGIN);
        assert!(ended.over_at(2) >= now + Duration::from_secs(11));
        assert!(ended.over_at(2) < now + Duration::from_secs(20));
        assert!(ended.over_at(3) >= now + USUAL_SILENCE, "nothing is known of it");
        for generation in 3..100 {
            ended.note(generation, true, Duration::ZERO);
        }
        assert_eq!(ended.0.len(), MAX_CONNECTIONS);
        assert!(ended.over_at(1) < now + MARGIN, "long ago");
    }
}
