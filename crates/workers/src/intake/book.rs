//! How far each room has been read, in Redis and here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use crustocean::model::{AgencyId, MessageId};
use crustocean::{Message, Stop};
use redis::Script;

use super::Intake;
use crate::error::{Error, Result};
use crate::keys::shard_of;
use crate::lease::Term;
use crate::store::Link;

/// Messages before the watermark that are looked at once more after a failover, in ms: the platform's servers need not
/// agree on the time to the millisecond.
pub(super) const OVERLAP: i64 = 60_000;

/// What this process knows by itself, over all its terms.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// From when on each room's messages count, in ms.
    origins: HashMap<AgencyId, i64>,
    /// Questions that are in Redis.
    taken: HashSet<MessageId>,
    /// The same, oldest first.
    order: VecDeque<MessageId>,
}

/// How often a process that waits looks for rooms that are new.
const LESSON: Duration = Duration::from_millis(500);
const REMEMBERED: usize = 65_536;

impl Book {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_taken(&self, id: &MessageId) -> bool {
        self.lock().taken.contains(id)
    }

    pub(super) fn remember(&self, id: &MessageId) {
        let mut known = self.lock();
        if known.taken.insert(id.clone()) {
            known.order.push_back(id.clone());
            if known.order.len() > REMEMBERED
                && let Some(oldest) = known.order.pop_front()
            {
                known.taken.remove(&oldest);
            }
        }
    }

    pub(super) fn origin(&self, room: &AgencyId) -> Option<i64> {
        self.lock().origins.get(room).copied()
    }

    pub(super) fn set_origin(&self, room: &AgencyId, origin: i64) {
        self.lock().origins.entry(room.clone()).or_insert(origin);
    }
}

/// A message on its way to Redis.
pub(super) struct Line {
    pub(super) room: AgencyId,
    pub(super) id: MessageId,
    pub(super) ms: i64,
    /// Empty if it is no question.
    pub(super) json: String,
}

impl Line {
    pub(super) fn new(message: &Message, is_question: bool) -> Result<Self> {
        let json = match is_question {
            true => serde_json::to_string(message).map_err(|error| {
                Error::invalid("a message that cannot be written as JSON").with_source(error)
            })?,
            false => String::new(),
        };
        Ok(Line { room: message.agency_id.clone(), id: message.id.clone(), ms: time_of(message), json })
    }
}

/// When a message was said, in ms; -1 if that cannot be told.
pub(super) fn time_of(message: &Message) -> i64 {
    let time = message.created_at.to_system_time();
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(-1)
}

/// What Redis made of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is there, or was there before.
    Done,
    /// Its shard has no room.
    Full,
    /// Nothing is known of its room.
    UnknownRoom,
}

impl Intake {
    /// Writes messages, in order. The result has fewer entries than `lines` if it went no further.
    pub(super) fn take(
        &self,
        link: &mut Link,
        term: &Term,
        lines: &[Line],
        from: &str,
    ) -> Result<Vec<Taken>> {
        let answer: Vec<String> = link.run(|connection| {
            let script = Script::new(include_str!("../lua/take.lua"));
            let mut call = script.key(term.key());
            call.arg(term.value()).arg(term.fence()).arg(OVERLAP).arg(self.most).arg(from);
            for line in lines {
                let room = line.room.as_str();
                call.key(self.keys.questions(shard_of(room, self.shards)));
                call.key(self.keys.room(room)).key(self.keys.seen(room));
                call.arg(room).arg(line.id.as_str()).arg(line.ms).arg(&line.json);
            }
            call.invoke(connection)
        })?;
        answer
            .iter()
            .map(|what| match what.as_str() {
                "lost" => {
                    term.lose();
                    Err(Error::lease_lost())
                }
                "full" => Ok(Taken::Full),
                "unknown" => Ok(Taken::UnknownRoom),
                _ => Ok(Taken::Done),
            })
            .collect()
    }

    /// Up to when a room has been read, in ms, and from when on it counts; `None` if Redis does not know the room.
    pub(super) fn watermark(&self, link: &mut Link, room: &AgencyId) -> Result<Option<(i64, i64)>> {
        let key = self.keys.room(room.as_str());
        let (mark, origin): (Option<i64>, Option<i64>) =
            link.run(|connection| redis::cmd("HMGET").arg(key).arg("mark").arg("origin").query(connection))?;
        Ok(mark.zip(origin))
    }

    /// Learns from when on the rooms count, while another process holds the connection: should Redis lose its data, and
    /// that process its term with it, this one knows what it has to read again.
    pub(super) fn learn(&self, stop: &Stop) {
        let (key, mut link) = (self.keys.origins(), self.store.link());
        while !stop.wait(LESSON) {
            let origins: Result<HashMap<String, i64>> =
                link.run(|connection| redis::cmd("HGETALL").arg(&key).query(connection));
            for (room, origin) in origins.unwrap_or_default() {
                self.book.set_origin(&AgencyId::from(room), origin);
            }
        }
    }

    /// Begins to keep a room, unless somebody has. `first`: the messages at the origin, which do not count.
    pub(super) fn open_room(
        &self,
        link: &mut Link,
        term: &Term,
        room: &AgencyId,
        mark: i64,
        origin: i64,
        first: &str,
    ) -> Result<i64> {
        let answer: String = link.run(|connection| {
            let script = Script::new(include_str!("../lua/open_room.lua"));
            let mut call = script.key(term.key());
            call.key(self.keys.room(room.as_str())).key(self.keys.origins());
            call.arg(term.value()).arg(mark).arg(origin).arg(first).arg(room.as_str());
            call.invoke(connection)
        })?;
        if answer == "lost" {
            term.lose();
            return Err(Error::lease_lost());
        }
        answer.parse().map_err(|_| Error::unexpected())
    }
}
