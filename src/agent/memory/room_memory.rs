//! The memory of one room: the watermark, which is the time up to which all messages are acknowledged, and the
//! acknowledged messages after that time.
//!
//! A message is acknowledged when the program has got it. A question is acknowledged when the program is done with it.

use std::collections::{HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::model::MessageId;

/// How much earlier a message's time may be than the time of the message before. Servers have several clocks. In
/// milliseconds: 5 minutes.
const CLOCK_MARGIN: u64 = 5 * 60 * 1000;
/// The watermark depends on the earliest time among this number of last messages, so one fast clock does no harm.
const RECENT: usize = 8;
/// The least number of acknowledged messages whose ids are stored.
const MIN_IDS: usize = 64;
const MAX_IDS: usize = 4096;

/// Times are in milliseconds since 1970, by the server's clock.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct RoomMemory {
    /// Whether the room is a direct conversation, whose history has another endpoint.
    #[serde(default)]
    pub(super) dm: bool,
    /// All messages up to this time are acknowledged. `None`: no message of the history is acknowledged by its time.
    #[serde(default)]
    pub(super) watermark: Option<u64>,
    /// The acknowledged messages after the watermark, in order of arrival.
    #[serde(default)]
    pub(super) acknowledged: VecDeque<(MessageId, u64)>,
    /// The ids in `acknowledged`, for lookups.
    #[serde(skip)]
    pub(super) ids: HashSet<MessageId>,
    /// The watermark must not move, because a message after it could not be read.
    #[serde(default)]
    pub(super) watermark_held: bool,
    /// The watermark must not move until the next start, because the memory does not track a question after it.
    #[serde(skip)]
    pub(super) has_untracked: bool,
}

impl RoomMemory {
    /// Fills `ids`. Call `index` after reading a `RoomMemory` from the store.
    pub(super) fn index(&mut self) {
        self.ids = self.acknowledged.iter().map(|(id, _)| id.clone()).collect();
    }

    pub(super) fn is_acknowledged(&self, id: &MessageId) -> bool {
        self.ids.contains(id)
    }

    /// Acknowledges a message. `time` is the time of the message, if known. `open` is the time of the earliest
    /// question that is not done. `now` is the time of this machine's clock: the watermark stays before it, because a
    /// server's clock may be ahead for a while, and later messages have earlier times then. Returns `false` if the
    /// message was already acknowledged.
    pub(super) fn acknowledge(
        &mut self,
        id: &MessageId,
        time: Option<u64>,
        open: Option<u64>,
        now: u64,
    ) -> bool {
        if !self.ids.insert(id.clone()) {
            return false;
        }
        let last = self.acknowledged.back().map(|(_, time)| *time);
        self.acknowledged.push_back((id.clone(), time.or(last).unwrap_or_default()));
        self.trim(open, now);
        true
    }

    fn trim(&mut self, open: Option<u64>, now: u64) {
        let horizon =
            self.acknowledged.iter().rev().take(RECENT).map(|(_, time)| *time).min().unwrap_or_default();
        let limit = horizon
            .min(now)
            .saturating_sub(CLOCK_MARGIN)
            .min(open.map_or(u64::MAX, |open| open.saturating_sub(1)));
        while self.acknowledged.len() > MIN_IDS
            && let Some((_, time)) = self.acknowledged.front()
        {
            let is_held = self.watermark_held || self.has_untracked;
            let below = !is_held && *time <= limit;
            if !below && self.acknowledged.len() <= MAX_IDS {
                return;
            }
            // Above `MAX_IDS`, the memory forgets ids. A forgotten message may come once more after a start, but no
            // message is lost.
            let watermark = below.then_some(*time);
            self.watermark = self.watermark.max(watermark);
            if let Some((id, _)) = self.acknowledged.pop_front() {
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
    fn the_watermark_stays_before_the_earliest_open_question() {
        let mut room_memory = RoomMemory::default();
        // One message per second.
        for n in 0..1000 {
            assert!(room_memory.acknowledge(&id(n), Some(n * 1000), None, u64::MAX));
            assert!(!room_memory.acknowledge(&id(n), Some(n * 1000), None, u64::MAX));
        }
        let watermark = room_memory.watermark.unwrap();
        assert!((600_000..700_000).contains(&watermark), "{watermark}");
        assert!(room_memory.is_acknowledged(&id(999)) && !room_memory.is_acknowledged(&id(1)));
        // A question at 900 s is never done.
        for n in 1000..3000 {
            room_memory.acknowledge(&id(n), Some(n * 1000), Some(900_000), u64::MAX);
        }
        assert_eq!(room_memory.watermark.unwrap(), 899_000);
        for n in 3000..20_000 {
            room_memory.acknowledge(&id(n), Some(n * 1000), Some(900_000), u64::MAX);
        }
        assert_eq!((room_memory.acknowledged.len(), room_memory.watermark.unwrap()), (MAX_IDS, 899_000));
        assert_eq!(room_memory.ids.len(), MAX_IDS);
    }

    #[test]
    fn a_fast_clock_hides_no_message_and_a_held_watermark_stays() {
        let mut room_memory = RoomMemory { watermark: Some(5), ..RoomMemory::default() };
        room_memory.acknowledge(&id(0), Some(u64::MAX), None, u64::MAX);
        for n in 1..200 {
            room_memory.acknowledge(&id(n), Some(n * 1000), None, u64::MAX);
        }
        assert_eq!(room_memory.watermark, Some(5), "the first message is kept, and so are all after it");
        let mut room_memory = RoomMemory { watermark_held: true, ..RoomMemory::default() };
        for n in 0..1000 {
            room_memory.acknowledge(&id(n), Some(n * 1000), None, u64::MAX);
        }
        assert_eq!((room_memory.watermark, room_memory.acknowledged.len()), (None, 1000));
    }

    #[test]
    fn a_server_whose_clock_is_ahead_for_a_while_hides_no_later_message() {
        let mut room_memory = RoomMemory::default();
        let (now, ahead) = (100_000_000, 200_000_000);
        for n in 0..1000 {
            room_memory.acknowledge(&id(n), Some(ahead + n), None, now);
        }
        assert_eq!(room_memory.watermark, None);
        for n in 1000..10_000 {
            let now = now + n * 1000;
            room_memory.acknowledge(&id(n), Some(now), None, now);
            assert!(room_memory.watermark < Some(now));
        }
        // The memory has forgotten the ids from that time, and the watermark moves again.
        assert!(room_memory.watermark.is_some() && room_memory.acknowledged.len() < MAX_IDS);
    }
}
