//! The position of the agent in a room's history: which messages the agent has heard. The missed messages of a gap
//! follow from this.
//!
//! The id decides whether a message was heard. The time only decides how far to look back. Times are not reliable:
//! servers have several clocks, and may store messages in another order than they show them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::num::{NonZeroI64, NonZeroU32};
use std::time::{Duration, Instant, SystemTime};

use crate::agent::history::unreadable::{self, Reported, Unreadable};
use crate::model::{List, Message, MessageEdited, MessageId, Timestamp};

/// How many messages of a room the cursor remembers: those of the last 10 minutes, within these limits.
const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);
const MIN_IDS: usize = 256;
/// Less than half of the hash table's capacity (14,336). The table then cleans up after removals in place and does
/// not grow.
const MAX_IDS: usize = 7000;
/// How much earlier the time of a new message may be than the times of the last known messages.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// The look-back starts from the earliest time among this number of last messages, so one fast clock does no harm.
const LAST: usize = 8;

/// The messages of a room that the agent knows, and the start position in the room's history.
#[derive(Debug)]
pub(crate) struct HistoryCursor {
    /// The known messages by the hash of the id. Storing the ids would cost a long-lived allocation per message.
    known: HashMap<u64, KnownMessage, BuildHasherDefault<AlreadyHashed>>,
    /// The same hashes in the order of arrival, with the seconds from `created` to the arrival.
    order: VecDeque<(u64, u32)>,
    created: Instant,
    hasher: RandomState,
    /// The latest time of messages that the cursor does not remember: messages from before the join, or from long ago.
    forgotten: Option<SystemTime>,
    begun: bool,
    /// The place of the first handed-out message on the page at the start position. Messages after this place were
    /// sent after the join.
    first_heard: Option<u16>,
    /// The room continues from an earlier run of the program, and the gap is not filled yet. All messages after
    /// `forgotten` must be read.
    resumed: bool,
    /// The unreadable elements of the history that need no further report.
    reported: Reported,
    /// Whether the room is a direct conversation, whose history has another endpoint.
    pub(crate) dm: bool,
}

/// A hasher that passes the key through: the keys are already hashes with a random secret.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A known message. Kept small: a busy room has thousands of them, and handling a message reads several.
#[derive(Debug)]
struct KnownMessage {
    time: Option<Nanos>,
    /// The hash of the time of the edit.
    edited: Option<NonZeroU32>,
    /// The place on the page at the start position, from 1 for the oldest message. 0 if the page does not contain the
    /// message.
    place: u16,
    /// Whether the agent has handed the message out. If not, the cursor knew the message at the start, from the first
    /// page or from an earlier run. The message may still arrive live.
    heard: bool,
}

/// A time in nanoseconds since 1970, between the years 1677 and 2262. A time of exactly 0 counts as 1.
#[derive(Debug, Clone, Copy)]
struct Nanos(NonZeroI64);

impl Nanos {
    fn of(time: SystemTime) -> Option<Self> {
        let nanos = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).ok()?,
            Err(before) => -i64::try_from(before.duration().as_nanos()).ok()?,
        };
        NonZeroI64::new(if nanos == 0 { 1 } else { nanos }).map(Nanos)
    }

    fn to_system_time(self) -> Option<SystemTime> {
        let distance = Duration::from_nanos(self.0.get().unsigned_abs());
        match self.0.get() {
            0.. => SystemTime::UNIX_EPOCH.checked_add(distance),
            _ => SystemTime::UNIX_EPOCH.checked_sub(distance),
        }
    }
}

/// The position in a room's history after which a searched message can be.
#[derive(Debug, Clone)]
pub(crate) enum HistoryPosition {
    Time(SystemTime),
    /// The message can be anywhere in the history.
    Beginning,
    /// The position is not known.
    Unknown,
}

/// How far back to look for missed messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lookback {
    /// Messages before this time were heard, if the clocks are right within `MARGIN`.
    bound: Option<SystemTime>,
    /// The cursor has forgotten messages up to this time, so an unknown id does not mean that a message was missed.
    forgotten: Option<SystemTime>,
    /// The start time of the remembered messages. Some forgotten messages may have a later time.
    unsure_from: Option<SystemTime>,
    /// The whole history down to `forgotten` must be read, even if earlier pages are known.
    whole: bool,
}

/// The class of a message in the history, for this agent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Heard,
    /// Heard, and edited since then.
    Edited,
    Missed,
    /// Sent before the agent started to listen, or heard so long ago that the cursor has forgotten the message.
    Old,
    /// Missed or old: the cursor cannot tell.
    Unsure,
}

/// The progress of the search after a page: whether the search can end, and the number of unsure messages.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// No older message is needed.
    pub(crate) enough: bool,
    pub(crate) unsure: usize,
}

/// The search ends only if this number of messages at the end of a page are too old.
const TAIL: usize = 4;

impl Default for HistoryCursor {
    fn default() -> Self {
        HistoryCursor::new(false)
    }
}

impl HistoryCursor {
    pub(crate) fn new(dm: bool) -> Self {
        HistoryCursor {
            known: HashMap::default(),
            order: VecDeque::new(),
            created: Instant::now(),
            hasher: RandomState::new(),
            forgotten: None,
            begun: false,
            first_heard: None,
            resumed: false,
            reported: Reported::default(),
            dm,
        }
    }

    fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(text)
    }

    fn get(&self, id: &MessageId) -> Option<&KnownMessage> {
        self.known.get(&self.hash(id.as_str()))
    }

    /// Sets the start position after the last page of the history (newest first), which was read before or during the
    /// join. Messages that came live meanwhile stay as they are. `whole`: the page is the whole history.
    pub(crate) fn begin_after(&mut self, page: &[Message], whole: bool) {
        self.begun = true;
        self.forgotten = match whole {
            true => None,
            false => page.iter().filter_map(|message| message.created_at.to_system_time()).min(),
        };
        let arrived = self.order.front().map_or_else(|| self.age(), |(_, arrived)| *arrived);
        let places = (1..=page.len()).rev().map(|place| u16::try_from(place).unwrap_or(u16::MAX));
        for (message, place) in page.iter().zip(places) {
            let hash = self.hash(message.id.as_str());
            if let Some(known) = self.known.get_mut(&hash) {
                known.place = place;
                if known.heard {
                    self.first_heard = Some(place);
                }
                continue;
            }
            self.known.insert(hash, self.known_as(message, false, place));
            self.order.push_front((hash, arrived));
        }
    }

    /// Continues from an earlier run of the program. That run heard the messages `acknowledged` and all messages up to
    /// `since`.
    pub(crate) fn resume(&mut self, acknowledged: &[MessageId], since: Option<SystemTime>) {
        self.begun = true;
        self.resumed = true;
        self.forgotten = since;
        for id in acknowledged {
            let hash = self.hash(id.as_str());
            if self
                .known
                .insert(hash, KnownMessage { time: None, edited: None, place: 0, heard: false })
                .is_none()
            {
                self.order.push_back((hash, 0));
            }
        }
    }

    /// Notes that the messages since the earlier run were read, or cannot be read.
    pub(crate) fn end_resume(&mut self) {
        self.resumed = false;
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether the start position is known.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Returns the position in the history after which a message that is sent now can be.
    pub(crate) fn since(&self) -> HistoryPosition {
        match self.lookback().bound {
            Some(time) => HistoryPosition::Time(time),
            None if self.begun && self.order.is_empty() => HistoryPosition::Beginning,
            None => HistoryPosition::Unknown,
        }
    }

    /// Notes a message that the agent is about to hand out. Returns `false` if the agent has handed the message out
    /// before.
    pub(crate) fn hear(&mut self, message: &Message) -> bool {
        let hash = self.hash(message.id.as_str());
        if let Some(known) = self.known.get_mut(&hash) {
            if known.place > 0 {
                self.first_heard = Some(self.first_heard.map_or(known.place, |first| first.min(known.place)));
            }
            return !std::mem::replace(&mut known.heard, true);
        }
        if !self.begun {
            // The start position is not known, so all messages up to this one count as old.
            self.begun = true;
            self.forgotten = message.created_at.to_system_time();
        }
        self.remember(hash, message);
        true
    }

    pub(crate) fn hear_edit(&mut self, edit: &MessageEdited) {
        let edited = self.hash_of_edit(edit.edited_at.as_ref());
        let hash = self.hash(edit.message_id.as_str());
        if let Some(known) = self.known.get_mut(&hash) {
            known.edited = edited;
        }
    }

    /// Whether the agent has handed the message out recently, or the cursor knew the message at the start.
    pub(crate) fn knows(&self, id: &MessageId) -> bool {
        self.get(id).is_some()
    }

    pub(crate) fn has_heard(&self, id: &MessageId) -> bool {
        self.get(id).is_some_and(|known| known.heard)
    }

    /// The seconds since `created`.
    fn age(&self) -> u32 {
        u32::try_from(self.created.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn known_as(&self, message: &Message, heard: bool, place: u16) -> KnownMessage {
        let edited = self.hash_of_edit(message.edited_at.as_ref());
        KnownMessage { time: message.created_at.to_system_time().and_then(Nanos::of), edited, place, heard }
    }

    fn hash_of_edit(&self, time: Option<&Timestamp>) -> Option<NonZeroU32> {
        NonZeroU32::new(self.hash(time?.as_str()) as u32 | 1)
    }

    fn remember(&mut self, hash: u64, message: &Message) {
        let arrived = self.age();
        while let Some(&(oldest, then)) = self.order.front()
            && self.order.len() >= MIN_IDS
            && (self.order.len() >= MAX_IDS || u64::from(arrived - then) > REMEMBERED_FOR.as_secs())
        {
            self.order.pop_front();
            self.forget(oldest);
        }
        let known = self.known_as(message, true, 0);
        if self.known.insert(hash, known).is_none() {
            self.order.push_back((hash, arrived));
        }
    }

    fn forget(&mut self, oldest: u64) {
        let time = self.known.remove(&oldest).and_then(|known| known.time?.to_system_time());
        let Some(time) = time else { return };
        if self.known.len() < self.known.capacity() / 4 {
            self.known.shrink_to_fit();
            self.order.shrink_to_fit();
        }
        if self.forgotten.is_some_and(|forgotten| time <= forgotten) {
            return;
        }
        // A fast clock must not hide all following messages.
        let present = self.times(3, self.order.iter().rev()).min();
        let latest = present.and_then(|present| present.checked_add(MARGIN));
        self.forgotten = self.forgotten.max(latest.map_or(Some(time), |latest| Some(time.min(latest))));
    }

    fn times<'a>(
        &'a self,
        count: usize,
        of: impl Iterator<Item = &'a (u64, u32)>,
    ) -> impl Iterator<Item = SystemTime> {
        of.filter_map(|(hash, _)| self.known.get(hash)?.time?.to_system_time()).take(count)
    }

    pub(crate) fn lookback(&self) -> Lookback {
        if self.resumed {
            return Lookback { forgotten: self.forgotten, whole: true, ..Lookback::default() };
        }
        let earliest_of_the_last = self.times(LAST, self.order.iter().rev()).min();
        // At most a quarter of the first times are earlier.
        let first: Vec<_> = self.times(LAST, self.order.iter()).collect();
        let earlier = |time| first.iter().filter(|other| **other < time).count();
        let early_of_the_first = first.iter().copied().filter(|time| earlier(*time) <= first.len() / 4).max();
        Lookback {
            bound: earliest_of_the_last.and_then(|time| time.checked_sub(MARGIN)),
            forgotten: self.forgotten,
            unsure_from: early_of_the_first,
            whole: false,
        }
    }

    /// Classifies a message of the history. `time` is the time of the message. If that time cannot be parsed, `time`
    /// is the time of the next newer message.
    pub(crate) fn classify(&self, message: &Message, time: Option<SystemTime>, lookback: &Lookback) -> Class {
        if let Some(known) = self.get(&message.id) {
            let edited = self.hash_of_edit(message.edited_at.as_ref());
            if !known.heard && self.first_heard.is_some_and(|first| known.place > first) {
                return Class::Missed;
            }
            let is_new = known.heard && edited.is_some() && edited != known.edited;
            return if is_new { Class::Edited } else { Class::Heard };
        }
        match (time, lookback.forgotten) {
            (Some(time), Some(forgotten)) if time <= forgotten => match lookback.unsure_from {
                Some(from) if time > from => Class::Unsure,
                _ => Class::Old,
            },
            _ => Class::Missed,
        }
    }

    /// Returns the unreadable elements of a page, newest first, that may be missed messages and that nobody has
    /// reported yet. `above`: the message directly before the page (newer than the page).
    pub(crate) fn unreadable(
        &mut self,
        page: &List<Message>,
        above: Option<&MessageId>,
        lookback: &Lookback,
    ) -> Vec<Unreadable> {
        let is_old = |element: &Unreadable| {
            let newer = element.place.checked_sub(1).and_then(|place| page.get(place));
            newer.and_then(|newer| newer.created_at.to_system_time()).is_some_and(|time| {
                lookback.forgotten.is_some_and(|forgotten| time <= forgotten)
                    && lookback.unsure_from.is_none_or(|from| time <= from)
            })
        };
        let mut new = self.reported.find_new(unreadable::on_page(page, above, &self.hasher));
        new.retain(|element| {
            let heard = element.id.as_ref().is_some_and(|id| self.has_heard(id));
            !heard && !is_old(element)
        });
        new
    }

    /// Notes that the elements need no further report.
    pub(crate) fn note_reported(&mut self, elements: Reported) {
        self.reported.append(elements);
    }

    /// Returns the missed and edited messages of a page of the history, newest first.
    pub(crate) fn classify_page(&self, page: Vec<Message>, lookback: &Lookback) -> (Vec<Message>, Progress) {
        let mut progress = Progress::default();
        let mut time = None;
        let mut times = Vec::with_capacity(page.len());
        let (mut any_missed, mut missed_below) = (false, false);
        let mut kept = Vec::new();
        for message in page {
            time = message.created_at.to_system_time().or(time);
            times.push(time);
            match self.classify(&message, time, lookback) {
                Class::Missed => {
                    any_missed = true;
                    missed_below |= time.is_some_and(|time| lookback.bound.is_some_and(|bound| time < bound));
                    kept.push(message);
                }
                Class::Edited => kept.push(message),
                Class::Unsure => progress.unsure += 1,
                Class::Heard | Class::Old => {}
            }
        }
        let tail = times.iter().rev().take(TAIL).flatten().max();
        let all_below = |line: Option<SystemTime>, inclusive: bool| match (tail, line) {
            (Some(tail), Some(line)) => *tail < line || inclusive && *tail == line,
            _ => false,
        };
        progress.enough = match lookback.bound {
            _ if all_below(lookback.forgotten, true) => true,
            Some(bound) => all_below(Some(bound), false) && !missed_below,
            // No time can be parsed. The search stops at a page that contains only known messages.
            None => !lookback.whole && self.begun && !any_missed && !self.order.is_empty(),
        };
        (kept, progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, time: &str) -> Message {
        serde_json::from_value(serde_json::json!({
            "id": id, "agency_id": "a", "content": id, "created_at": time,
        }))
        .unwrap()
    }

    fn at(id: &str, second: i64) -> Message {
        let second = 12 * 3600 + second;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        message(id, &format!("2026-01-01T{hour:02}:{minute:02}:{second:02}.000Z"))
    }

    /// Returns the missed messages. `history` is oldest first.
    fn missed(cursor: &HistoryCursor, history: &[Message]) -> Vec<String> {
        let page: Vec<_> = history.iter().rev().cloned().collect();
        let (mut kept, _) = cursor.classify_page(page, &cursor.lookback());
        kept.reverse();
        kept.into_iter().map(|message| message.id.to_string()).collect()
    }

    #[test]
    fn what_was_heard_is_told_by_the_id_and_not_by_the_time() {
        let mut cursor = HistoryCursor::default();
        cursor.begin_after(&[], true);
        assert!(cursor.hear(&at("m1", 60)));
        // The time of `m2` is before, at and after the time of `m1`. In the last case, the clock is one hour slow.
        for second in [59, 60, 61, -3600] {
            assert_eq!(missed(&cursor, &[at("m1", 60), at("m2", second)]), ["m2"], "{second}");
        }
        assert!(!cursor.hear(&at("m1", 60)), "once");
    }

    #[test]
    fn a_message_from_the_future_hides_nothing() {
        let mut cursor = HistoryCursor::default();
        cursor.begin_after(&[], true);
        assert!(cursor.hear(&at("m1", 40_000)) && cursor.hear(&message("m2", "no time")));
        let history = [at("m3", 10), at("m4", 11), message("m2", "no time"), at("m1", 40_000)];
        assert_eq!(missed(&cursor, &history), ["m3", "m4"]);
        // The same holds after the cursor has forgotten `m1`. For some minutes the cursor reports a possible loss, then
        // no more.
        for n in 0..9000 {
            assert!(cursor.hear(&at(&format!("n{n}"), n)));
        }
        assert_eq!(missed(&cursor, &[at("n8999", 8999), at("x", 9000)]), ["x"]);
    }

    #[test]
    fn what_was_said_before_the_join_is_no_news_but_may_come_live() {
        let page = [at("m2", 2), at("m1", 1)];
        let mut cursor = HistoryCursor::default();
        cursor.begin_after(&page, false);
        let history = [at("m0", 0), at("m1", 1), at("m2", 2), at("late", 2), at("m3", 3)];
        assert_eq!(missed(&cursor, &history), ["late", "m3"]);
        assert!(cursor.hear(&at("m2", 2)), "it was not handed out");
        assert!(!cursor.hear(&at("m2", 2)));
        // If the earlier history is not known, the history starts with the first heard message.
        let mut cursor = HistoryCursor::default();
        assert!(matches!(cursor.since(), HistoryPosition::Unknown) && cursor.hear(&at("m2", 2)));
        assert_eq!(missed(&cursor, &history), ["m3"]);
    }

    #[test]
    fn the_walk_ends_where_nothing_is_missed_any_more() {
        let mut cursor = HistoryCursor::default();
        cursor.begin_after(&[], true);
        for n in 0..900 {
            assert!(cursor.hear(&at(&format!("m{n}"), n)));
        }
        let lookback = cursor.lookback();
        let page = |range: std::ops::Range<i64>| -> Vec<_> {
            range.rev().map(|n| at(&format!("m{n}"), n)).collect()
        };
        assert!(!cursor.classify_page(page(800..900), &lookback).1.enough, "within the margin");
        assert!(cursor.classify_page(page(500..600), &lookback).1.enough);
        let mut below = page(500..600);
        below.insert(90, at("missed", 400));
        assert!(!cursor.classify_page(below, &lookback).1.enough, "there may be more");
    }

    #[test]
    fn where_the_margin_is_not_enough_it_says_so() {
        let mut cursor = HistoryCursor::default();
        cursor.begin_after(&[], true);
        for n in 0..9000 {
            // One of two clocks is a minute fast.
            assert!(cursor.hear(&at(&format!("m{n}"), n / 100 + n % 2 * 60)));
        }
        let page = vec![at("m8999", 149), at("x", 55), at("m1", 60), at("y", 1)];
        let (kept, progress) = cursor.classify_page(page, &cursor.lookback());
        assert!(kept.is_empty());
        assert_eq!(progress.unsure, 2, "heard and forgotten, or not heard");
    }

    #[test]
    fn sees_what_was_edited_meanwhile() {
        let mut cursor = HistoryCursor::default();
        assert!(cursor.hear(&at("m1", 1)));
        let mut edited = at("m1", 1);
        edited.edited_at = Some("2026-01-01T00:00:09.000Z".into());
        assert_eq!(missed(&cursor, &[edited.clone()]), ["m1"]);
        cursor.hear_edit(&MessageEdited::of(&edited));
        assert!(missed(&cursor, &[edited]).is_empty(), "once");
    }

    #[test]
    fn thousands_of_one_moment_are_told_apart() {
        let mut cursor = HistoryCursor::default();
        cursor.begin_after(&[], true);
        let all: Vec<_> = (0..3000).map(|n| at(&format!("m{n}"), 1)).collect();
        assert!(all[..2000].iter().all(|message| cursor.hear(message)));
        assert_eq!(missed(&cursor, &all).len(), 1000);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut cursor = HistoryCursor::default();
        for n in 0..20_000 {
            assert!(cursor.hear(&at(&format!("m{n}"), n)));
        }
        assert!(cursor.order.len() == MAX_IDS && cursor.known.len() == MAX_IDS);
        // An hour later, the cursor remembers only the last messages.
        cursor.created -= Duration::from_secs(3600);
        assert!(cursor.hear(&at("later", 30_000)));
        assert_eq!((cursor.order.len(), cursor.known.len()), (MIN_IDS, MIN_IDS));
        assert!(cursor.known.capacity() < 4 * MIN_IDS, "{}", cursor.known.capacity());
    }

    #[test]
    fn a_page_that_is_read_while_the_room_is_joined_adds_to_what_came_live() {
        let history: Vec<_> = (1..=6).map(|n| at(&format!("m{n}"), n)).collect();
        let page: Vec<_> = history.iter().rev().cloned().collect();
        // The join took effect after m3. Then the connection was lost, before or after the page arrived.
        for heard_first in [true, false] {
            let mut cursor = HistoryCursor::new(false);
            if heard_first {
                assert!(cursor.hear(&history[3]));
            }
            cursor.begin_after(&page, false);
            assert_eq!(cursor.hear(&history[3]), !heard_first);
            assert_eq!(missed(&cursor, &history), ["m5", "m6"], "heard first: {heard_first}");
        }
        // No message came live, so all messages on the page were sent before the end of the join.
        let mut cursor = HistoryCursor::new(false);
        cursor.begin_after(&page, false);
        let later = [history.as_slice(), &[at("m7", 7)]].concat();
        assert_eq!(missed(&cursor, &later), ["m7"]);
    }
}
