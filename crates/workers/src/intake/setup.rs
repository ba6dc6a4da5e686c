//! The settings of an intake, the data that its process keeps, and its scripts in Redis.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crustocean::model::AgencyId;
use crustocean::{Agent, Message, Stop};
use redis::Script;

use super::known::Known;
use super::record::{OVERLAP, Record};
use crate::connect::Connect;
use crate::connection::RedisConnection;
use crate::error::{Error, Result};
use crate::keys::{AgentKeys, shard_of};
use crate::lease::{Lease, Term};
use crate::store::Store;
use crate::user_code::caught;

/// How often a waiting process reads the origins of the rooms.
const ORIGINS_INTERVAL: Duration = Duration::from_millis(500);

pub(super) type JoinRooms = dyn Fn(&Agent) -> crustocean::Result<()> + Send + Sync;
pub(super) type IsQuestion = dyn Fn(&Agent, &Message) -> bool + Send + Sync;

pub(super) struct Setup {
    pub(super) keys: AgentKeys,
    pub(super) store: Store,
    pub(super) lease: Lease,
    pub(super) connect: Connect,
    pub(super) rooms: Arc<JoinRooms>,
    pub(super) filter: Arc<IsQuestion>,
    pub(super) shards: usize,
    /// How many questions of one shard may wait.
    pub(super) max_waiting: usize,
    pub(super) lookback: Duration,
    pub(super) known: Known,
}

/// The result of storing one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// The message is stored now, was stored before, or needs no entry.
    Done,
    /// The message's shard is full.
    Full,
    /// Redis does not know the message's room.
    UnknownRoom,
}

impl Setup {
    pub(super) fn lookback_ms(&self) -> i64 {
        i64::try_from(self.lookback.as_millis()).unwrap_or(i64::MAX)
    }

    /// Asks the program's filter whether a message is a question.
    pub(super) fn is_question(&self, agent: &Agent, message: &Message) -> bool {
        caught(|| (self.filter)(agent, message)).unwrap_or_else(|panic| {
            crate::logging::record!(Error, "the filter panicked on message {}: {panic}", message.id);
            // An extra question does less harm than a lost one.
            true
        })
    }

    /// Stores the number of shards in Redis, unless an intake has done that before.
    ///
    /// # Errors
    /// When Redis has another number.
    pub(super) fn fix_shards(&self) -> Result<()> {
        let key = self.keys.shards();
        let found: usize = self.store.connection().run(|connection| {
            redis::cmd("SETNX").arg(&key).arg(self.shards).exec(connection)?;
            redis::cmd("GET").arg(&key).query(connection)
        })?;
        if found == self.shards {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the questions of this agent are in {found} shards, not {}: use .shards({found}); or stop all intakes, let \
             the workers answer what waits, stop them too, and delete the key {key}",
            self.shards
        )))
    }

    /// Stores messages in order. The result has fewer entries than `records` if Redis stopped early.
    pub(super) fn store_messages(
        &self,
        redis: &mut RedisConnection,
        term: &Term,
        records: &[Record],
        from: &str,
    ) -> Result<Vec<Stored>> {
        let answer: Vec<String> = redis.run(|connection| {
            let script = Script::new(include_str!("../lua/store_messages.lua"));
            let mut call = script.key(term.key());
            call.arg(term.value()).arg(term.fence()).arg(OVERLAP).arg(self.max_waiting).arg(from);
            for record in records {
                let room = record.room.as_str();
                call.key(self.keys.questions(shard_of(room, self.shards)));
                call.key(self.keys.room(room)).key(self.keys.seen(room));
                call.arg(room).arg(record.id.as_str()).arg(record.ms).arg(&record.json);
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
                "full" => Ok(Stored::Full),
                "unknown" => Ok(Stored::UnknownRoom),
                _ => Ok(Stored::Done),
            })
            .collect()
    }

    /// A room's watermark (the intake has read the messages up to this time) and its origin (messages count from this
    /// time on), in ms. `None` if Redis does not know the room.
    pub(super) fn watermark(
        &self,
        redis: &mut RedisConnection,
        room: &AgencyId,
    ) -> Result<Option<(i64, i64)>> {
        let key = self.keys.room(room.as_str());
        let (mark, origin): (Option<i64>, Option<i64>) = redis
            .run(|connection| redis::cmd("HMGET").arg(key).arg("mark").arg("origin").query(connection))?;
        Ok(mark.zip(origin))
    }

    /// Reads the origins of the rooms repeatedly, until `stop` is stopped. Runs while another process holds the
    /// connection: if Redis loses its data and that process loses its term, this process knows which messages to read
    /// again.
    pub(super) fn read_origins(&self, stop: &Stop) {
        let (key, mut redis) = (self.keys.origins(), self.store.connection());
        while !stop.wait(ORIGINS_INTERVAL) {
            let origins: Result<HashMap<String, i64>> =
                redis.run(|connection| redis::cmd("HGETALL").arg(&key).query(connection));
            for (room, origin) in origins.unwrap_or_default() {
                self.known.set_origin(&AgencyId::from(room), origin);
            }
        }
    }

    /// Adds a room to Redis, if Redis does not know it. `first`: the ids of the messages sent at the origin, which do not
    /// count. Returns the room's watermark.
    pub(super) fn open_room(
        &self,
        redis: &mut RedisConnection,
        term: &Term,
        room: &AgencyId,
        mark: i64,
        origin: i64,
        first: &str,
    ) -> Result<i64> {
        let answer: String = redis.run(|connection| {
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
