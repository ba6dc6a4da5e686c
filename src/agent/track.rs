//! How far the consumer has got in one room, so that a gap can be told from what was heard.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use crate::model::{Message, MessageEdited, MessageId, Timestamp};

/// How many messages are remembered by id. They matter only where times are equal or out of order.
const REMEMBERED: usize = 256;
/// The same, when all of them were said in one moment.
const REMEMBERED_OF_A_MOMENT: usize = 8192;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Track {
    start: Start,
    /// The time of the message handed out last. Empty before the first.
    newest: String,
    /// How many have had this very time, one after the other.
    at_newest: usize,
    recent: VecDeque<Known>,
    /// What the last backfill brought; the same may still come live.
    replayed: Ids,
    /// Whether it is a direct conversation: its history is elsewhere.
    pub(crate) dm: bool,
}

/// Where the room's story begins for this agent.
#[derive(Debug, Default)]
enum Start {
    /// The history could not be read when the room was joined.
    #[default]
    Unknown,
    /// There was nothing.
    Empty,
    /// The newest message when the room was joined.
    At(MessageId, Timestamp),
}

#[derive(Debug)]
struct Known {
    /// The id's hash: holding on to hundreds of ids would cost every message an allocation that lives long.
    id: u64,
    edited_at: Option<Timestamp>,
}

/// Hashes ids, quickly, because this runs for every message. The server makes them: nobody gains from two that collide.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl IdHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = 0;
        for byte in rest {
            last = last << 8 | u64::from(*byte);
        }
        self.mix(last);
    }

    fn finish(&self) -> u64 {
        // The map uses the lower bits, the product mixes the upper ones best.
        self.0 ^ self.0 >> 32
    }
}

fn hash(id: &MessageId) -> u64 {
    let mut hasher = IdHasher::default();
    hasher.write(id.as_str().as_bytes());
    hasher.finish()
}

/// A set of ids, by their hashes.
#[derive(Debug, Default)]
pub(crate) struct Ids(HashSet<u64, BuildHasherDefault<IdHasher>>);

impl Ids {
    pub(crate) fn insert(&mut self, id: &MessageId) {
        self.0.insert(hash(id));
    }

    pub(crate) fn contains(&self, id: &MessageId) -> bool {
        self.0.contains(&hash(id))
    }
}

/// From where on a room's history is news.
#[derive(Debug, Clone)]
pub(crate) enum Since {
    Time(Timestamp),
    /// All of it.
    Beginning,
    /// It cannot be told.
    Unknown,
}

impl Track {
    pub(crate) fn new(dm: bool) -> Self {
        Track { dm, ..Track::default() }
    }

    /// The newest message of the history, taken before the room was joined.
    pub(crate) fn starts_at(&mut self, newest: Option<&Message>) {
        self.start = match newest {
            Some(message) => Start::At(message.id.clone(), message.created_at.clone()),
            None => Start::Empty,
        };
    }

    pub(crate) fn since(&self) -> Since {
        match &self.start {
            _ if !self.newest.is_empty() => Since::Time(self.newest.as_str().into()),
            Start::At(_, time) => Since::Time(time.clone()),
            Start::Empty => Since::Beginning,
            Start::Unknown => Since::Unknown,
        }
    }

    /// A message is about to be handed out. False if it has been already.
    pub(crate) fn hear(&mut self, message: &Message) -> bool {
        if !self.replayed.0.is_empty() && self.replayed.contains(&message.id) {
            return false;
        }
        if message.replayed {
            // Out of a history. Another thread may be about to bring the same one live.
            if self.knows(&message.id) {
                return false;
            }
            self.replayed.insert(&message.id);
        }
        self.note(message);
        true
    }

    /// Whether it has been handed out lately.
    pub(crate) fn knows(&self, id: &MessageId) -> bool {
        self.place(id).is_some()
    }

    fn place(&self, id: &MessageId) -> Option<usize> {
        let id = hash(id);
        self.recent.iter().rposition(|known| known.id == id)
    }

    fn note(&mut self, message: &Message) {
        // Reused, because this runs for every message.
        if self.newest != message.created_at.as_str() {
            self.newest.clear();
            self.newest.push_str(message.created_at.as_str());
            self.at_newest = 0;
        }
        self.at_newest += 1;
        let most = self.at_newest.clamp(REMEMBERED, REMEMBERED_OF_A_MOMENT);
        while self.recent.len() >= most {
            self.recent.pop_front();
        }
        self.recent.push_back(Known { id: hash(&message.id), edited_at: message.edited_at.clone() });
    }

    pub(crate) fn hear_edit(&mut self, edit: &MessageEdited) {
        if let Some(known) = self.place(&edit.message_id).and_then(|at| self.recent.get_mut(at)) {
            known.edited_at.clone_from(&edit.edited_at);
        }
    }

    /// Sorts what a history says into what is new, oldest first, and what was heard but has been edited since.
    pub(crate) fn sort_out(
        &mut self,
        history: Vec<Message>,
        since: &Since,
    ) -> (Vec<Message>, Vec<MessageEdited>) {
        self.replayed.0.clear();
        let mut news = Vec::new();
        let mut edits = Vec::new();
        for message in history {
            if let Some(known) = self.place(&message.id).and_then(|at| self.recent.get_mut(at)) {
                if message.edited_at.is_some() && known.edited_at != message.edited_at {
                    known.edited_at.clone_from(&message.edited_at);
                    edits.push(MessageEdited::of(&message));
                }
                continue;
            }
            let old = match since {
                Since::Time(time) => message.created_at < *time,
                Since::Beginning | Since::Unknown => false,
            };
            let at_start = matches!(&self.start, Start::At(id, _) if *id == message.id);
            if !old && !at_start {
                news.push(message);
            }
        }
        for message in &mut news {
            message.replayed = true;
            // Live messages say so; it is not known whether those of a history do.
            message.dm |= self.dm;
            self.note(message);
            self.replayed.insert(&message.id);
        }
        (news, edits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, second: u32) -> Message {
        serde_json::from_value(serde_json::json!({
            "id": id, "agency_id": "a", "content": id, "created_at": format!("2026-01-01T00:00:{second:02}.000Z"),
        }))
        .unwrap()
    }

    fn ids(messages: &[Message]) -> Vec<&str> {
        messages.iter().map(|message| message.id.as_str()).collect()
    }

    #[test]
    fn tells_news_from_what_was_heard() {
        let mut track = Track::default();
        track.starts_at(Some(&message("m0", 0)));
        assert!(track.hear(&message("m1", 1)) && track.hear(&message("m2", 2)));
        let since = track.since();
        // m2b has the time of m2, m1b comes before it: only the first was missed for sure.
        let history = vec![
            message("m0", 0),
            message("m1", 1),
            message("m1b", 1),
            message("m2", 2),
            message("m2b", 2),
            message("m3", 3),
        ];
        let (news, edits) = track.sort_out(history, &since);
        assert_eq!(ids(&news), ["m2b", "m3"]);
        assert!(edits.is_empty() && news.iter().all(|message| message.replayed));
        assert!(!track.hear(&message("m3", 3)), "it also comes live");
        assert!(track.hear(&message("m4", 4)));
    }

    #[test]
    fn a_room_without_a_word_begins_where_it_was_joined() {
        let mut track = Track::default();
        assert!(matches!(track.since(), Since::Unknown));
        track.starts_at(None);
        let (news, _) = track.sort_out(vec![message("m1", 1)], &Since::Beginning);
        assert_eq!(ids(&news), ["m1"]);

        let mut track = Track::default();
        track.starts_at(Some(&message("m1", 1)));
        let since = track.since();
        let (news, _) = track.sort_out(vec![message("m1", 1), message("m2", 1)], &since);
        assert_eq!(ids(&news), ["m2"]);
        // The newest message of the start may still come live: it was not handed out.
        assert!(track.hear(&message("m1", 1)));
    }

    #[test]
    fn sees_what_was_edited_meanwhile() {
        let mut track = Track::default();
        assert!(track.hear(&message("m1", 1)));
        let mut edited = message("m1", 1);
        edited.edited_at = Some("2026-01-01T00:00:09.000Z".into());
        let since = track.since();
        let (news, edits) = track.sort_out(vec![edited.clone()], &since);
        assert!(news.is_empty());
        assert_eq!(edits.len(), 1);
        let (_, again) = track.sort_out(vec![edited], &since);
        assert!(again.is_empty(), "once");
    }

    #[test]
    fn thousands_of_one_moment_are_told_apart() {
        let mut track = Track::default();
        let all: Vec<_> = (0..3000).map(|n| message(&format!("m{n}"), 1)).collect();
        assert!(all[..2000].iter().all(|message| track.hear(message)));
        let (news, _) = track.sort_out(all.clone(), &track.since());
        assert_eq!((news.len(), news[0].id.as_str()), (1000, "m2000"));
        for second in 2..2000 {
            assert!(track.hear(&message(&format!("n{second}"), second % 60)));
        }
        assert!(track.recent.len() <= REMEMBERED, "{}", track.recent.len());
    }
}
