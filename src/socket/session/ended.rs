//! When the sessions of earlier connections are certainly over, on the server's side as well.
//!
//! A connection that broke here may live on there: what was written before may still be under way, and is carried out
//! when it arrives. It arrives at nobody once the server has ended the session.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::deadline;

/// Of more than these nobody asks.
const MOST: usize = 32;
/// The server's clock starts a little later than ours.
const MARGIN: Duration = Duration::from_secs(1);
/// For a connection of which nothing is known: the silence that servers allow unless they are set up otherwise.
const USUAL_SILENCE: Duration = Duration::from_secs(45);

/// The ends of the last connections, oldest first, each with the generation of its connection.
#[derive(Debug, Default)]
pub(crate) struct Ended(VecDeque<(u64, Instant)>);

impl Ended {
    /// A connection is over. `told`: the server itself has ended its session. Otherwise it does so after `silence`.
    pub(crate) fn note(&mut self, generation: u64, told: bool, silence: Duration) {
        let wait = if told { Duration::ZERO } else { silence.saturating_add(MARGIN) };
        self.0.push_back((generation, deadline::after(wait)));
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// From when on the session of that connection is certainly over.
    pub(crate) fn over_at(&self, generation: u64) -> Instant {
        let known = self.0.iter().find(|(ended, _)| *ended == generation);
        // One that was forgotten ended before all that are known.
        let later = || self.0.iter().map(|(_, at)| *at).max().filter(|_| self.0.len() == MOST);
        known.map(|(_, at)| *at).or_else(later).unwrap_or_else(|| deadline::after(USUAL_SILENCE + MARGIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_over_when_the_server_says_so_or_has_heard_nothing_for_long_enough() {
        let mut ended = Ended::default();
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
        assert_eq!(ended.0.len(), MOST);
        assert!(ended.over_at(1) < now + MARGIN, "long ago");
    }
}
