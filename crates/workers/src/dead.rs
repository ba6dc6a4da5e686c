//! Questions that failed on every delivery.

use std::collections::HashMap;
use std::fmt;

use crustocean::Message;
use redis::Script;

use crate::answer::HandedOver;
use crate::error::{Error, Result};
use crate::keys::AgentKeys;
use crate::store::Store;

/// The dead letters of an agent: the questions that failed on every delivery.
///
/// ```no_run
/// # fn main() -> crustocean_workers::Result<()> {
/// use crustocean_workers::{DeadLetters, Store};
///
/// let dead = DeadLetters::new(&Store::from_env()?, "larry")?;
/// for letter in dead.list(100)? {
///     println!("{letter}");
///     dead.replay(&letter.id)?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct DeadLetters {
    store: Store,
    keys: AgentKeys,
}

/// A question that failed on every delivery.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The id of the dead letter.
    pub id: String,
    /// The id of the question's room.
    pub room: String,
    /// The question, unless its stored form cannot be decoded.
    pub question: Option<Message>,
    /// The reason why the last delivery failed.
    pub reason: String,
    /// How often the question was delivered.
    pub deliveries: u64,
    /// The stream of the question. A replay adds the question to this stream again.
    pub stream: String,
}

impl fmt::Display for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.question.as_ref().map_or("?", |question| question.content.as_str());
        write!(
            f,
            "{} in {} after {} deliveries: {} ({text:?})",
            self.id, self.room, self.deliveries, self.reason
        )
    }
}

impl DeadLetters {
    /// The dead letters of an agent. `agent` is the name that its [`Intake`](crate::Intake) has.
    ///
    /// # Errors
    /// The kinds of [`Intake::new`](crate::Intake::new).
    pub fn new(store: &Store, agent: &str) -> Result<Self> {
        Ok(DeadLetters { store: store.clone(), keys: AgentKeys::new(store.key_prefix(), agent)? })
    }

    /// The oldest dead letters, `limit` at most.
    ///
    /// # Errors
    /// [`Unreachable`](crate::ErrorKind::Unreachable) or [`Refused`](crate::ErrorKind::Refused).
    pub fn list(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        let key = self.keys.dead();
        let entries: Vec<(String, HashMap<String, String>)> = self.store.connection().run(|connection| {
            redis::cmd("XRANGE").arg(key).arg("-").arg("+").arg("COUNT").arg(limit).query(connection)
        })?;
        Ok(entries.into_iter().map(|(id, fields)| letter(id, fields)).collect())
    }

    /// Adds a dead letter to its shard again, behind the waiting questions. A worker answers it, unless its room has
    /// the answer already. Returns false if there is no such dead letter.
    ///
    /// # Errors
    /// [`Unreachable`](crate::ErrorKind::Unreachable) or [`Refused`](crate::ErrorKind::Refused).
    pub fn replay(&self, id: &str) -> Result<bool> {
        let (key, mut redis) = (self.keys.dead(), self.store.connection());
        let found: Vec<(String, HashMap<String, String>)> =
            redis.run(|connection| redis::cmd("XRANGE").arg(&key).arg(id).arg(id).query(connection))?;
        let Some(letter) = found.into_iter().next().map(|(id, fields)| letter(id, fields)) else {
            return Ok(false);
        };
        if letter.stream.is_empty() {
            return Err(Error::invalid(format!("the dead letter {id} does not say where it came from")));
        }
        redis.run(|connection| {
            let script = Script::new(include_str!("lua/replay.lua"));
            script.key(&key).key(&letter.stream).arg(id).invoke(connection)
        })
    }

    /// Deletes a dead letter. Returns false if there is no such dead letter.
    ///
    /// # Errors
    /// [`Unreachable`](crate::ErrorKind::Unreachable) or [`Refused`](crate::ErrorKind::Refused).
    pub fn remove(&self, id: &str) -> Result<bool> {
        let key = self.keys.dead();
        self.store.connection().run(|connection| redis::cmd("XDEL").arg(key).arg(id).query(connection))
    }
}

fn letter(id: String, mut fields: HashMap<String, String>) -> DeadLetter {
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    let message = take("message");
    let question = serde_json::from_str(&message)
        .or_else(|_| serde_json::from_str::<HandedOver>(&message).map(|handed| handed.question))
        .ok();
    DeadLetter {
        id,
        room: take("room"),
        question,
        reason: take("reason"),
        deliveries: take("deliveries").parse().unwrap_or_default(),
        stream: take("stream"),
    }
}
