//! The memory of one room: the time up to which all messages are settled (the watermark), and the settled messages
//! after that time.

use std::collections::{HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::model::MessageId;

/// How much earlier a message's time may be than the time of the message before. Servers have several clocks. In
/// milliseconds: 5 minutes.
const MARGIN: u64 = 5 * 60 * 1000;
/// The watermark depends on the earliest time among this number of last messages, so one fast clock does no harm.
const LAST: usize = 8;
/// The least number of settled messages whose ids are stored.
const LEAST: usize = 64;
const MOST: usize = 4096;

/// Times are in milliseconds since 1970, by the server's clock.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Place {
    /// Whether the room is a direct conversation, whose history has another endpoint.
    #[serde(default)]
    pub(super) dm: bool,
    /// All messages up to this time are settled. `None`: no message of the history is settled by its time.
    #[serde(default)]
    pub(super) watermark: Option<u64>,
    /// The settled messages after the watermark, in order of arrival.
    #[serde(default)]
    pub(super) settled: VecDeque<(MessageId, u64)>,
    /// The ids in `settled`, for lookups.
    #[serde(skip)]
    pub(super) ids: HashSet<MessageId>,
    /// A message after the watermark could not be read, so the watermark must not move.
    #[serde(default)]
    pub(super) pinned: bool,
}

impl Place {
    /// Fills `ids`. Call `index` after reading a `Place` from the store.
    pub(super) fn index(&mut self) {
        self.ids = self.settled.iter().map(|(id, _)| id.clone()).collect();
    }

    pub(super) fn is_settled(&self, id: &MessageId) -> bool {
        self.ids.contains(id)
    }

    /// Notes a settled message. `time` is the time of the message, if known. `open` is the time of the earliest
    /// question that is not done. Returns `false` if the message was already settled.
    pub(super) fn settle(&mut self, id: &MessageId, time: Option<u64>, open: Option<u64>) -> bool {
        if !self.ids.insert(id.clone()) {
            return false;
        }
        let last = self.settled.back().map(|(_, time)| *time);
        self.settled.push_back((id.clone(), time.or(last).unwrap_or_default()));
        self.trim(open);
        true
    }

    fn trim(&mut self, open: Option<u64>) {
        let horizon = self.settled.iter().rev().take(LAST).map(|(_, time)| *time).min().unwrap_or_default();
        let limit = horizon.saturating_sub(MARGIN).min(open.map_or(u64::MAX, |open| open.saturating_sub(1)));
        while self.settled.len() > LEAST
            && let Some((_, time)) = self.settled.front()
        {
            let below = !self.pinned && *time <= limit;
            if !below && self.settled.len() <= MOST {
                return;
            }
            // Above `MOST`, the memory forgets ids. A forgotten message may come once more after a start, but no
            // message is lost.
            let watermark = below.then_some(*time);
            self.watermark = self.watermark.max(watermark);
            if let Some((id, _)) = self.settled.pop_front() {
                self.ids.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> MessageId {
        format!("m{n}").into()
    }

    #[test]
    fn the_watermark_follows_and_stays_below_what_is_open() {
        let mut place = Place::default();
        // One message per second.
        for n in 0..1000 {
            assert!(place.settle(&id(n), Some(n * 1000), None));
            assert!(!place.settle(&id(n), Some(n * 1000), None));
        }
        let watermark = place.watermark.unwrap();
        assert!((600_000..700_000).contains(&watermark), "{watermark}");
        assert!(place.is_settled(&id(999)) && !place.is_settled(&id(1)));
        // A question at 900 s is never done.
        for n in 1000..3000 {
            place.settle(&id(n), Some(n * 1000), Some(900_000));
        }
        assert_eq!(place.watermark.unwrap(), 899_000);
        for n in 3000..20_000 {
            place.settle(&id(n), Some(n * 1000), Some(900_000));
        }
        assert_eq!((place.settled.len(), place.watermark.unwrap()), (MOST, 899_000));
        assert_eq!(place.ids.len(), MOST);
    }

    #[test]
    fn a_clock_that_is_ahead_hides_nothing_and_a_pin_holds() {
        let mut place = Place { watermark: Some(5), ..Place::default() };
        place.settle(&id(0), Some(u64::MAX), None);
        for n in 1..200 {
            place.settle(&id(n), Some(n * 1000), None);
        }
        assert_eq!(place.watermark, Some(5), "the first is not forgotten, and so nothing behind it");
        let mut place = Place { pinned: true, ..Place::default() };
        for n in 0..1000 {
            place.settle(&id(n), Some(n * 1000), None);
        }
        assert_eq!((place.watermark, place.settled.len()), (None, 1000));
    }
}
