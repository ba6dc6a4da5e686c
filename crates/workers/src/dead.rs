//! Questions that could not be answered.

use std::collections::HashMap;
use std::fmt;

use crustocean::Message;
use redis::Script;

use crate::error::{Error, Result};
use crate::intake::outbox::Handed;
use crate::keys::AgentKeys;
use crate::store::Store;

/// The dead letters of an agent: what failed on every delivery.
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
    /// Its id among the dead letters.
    pub id: String,
    /// The room it was asked in.
    pub room: String,
    /// The question, if it can be read.
    pub question: Option<Message>,
    /// What the last delivery failed with.
    pub reason: String,
    /// How often it was delivered.
    pub deliveries: u64,
    /// The stream that it came from.
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
    /// Those of an agent, by the name that its [`Intake`](crate::Intake) has.
    ///
    /// # Errors
    /// As [`Intake::new`](crate::Intake::new).
    pub fn new(store: &Store, agent: &str) -> Result<Self> {
        Ok(DeadLetters { store: store.clone(), keys: AgentKeys::new(store.key_prefix(), agent)? })
    }

    /// The oldest ones, as many at most.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub fn list(&self, most: usize) -> Result<Vec<DeadLetter>> {
        let key = self.keys.dead();
        let entries: Vec<(String, HashMap<String, String>)> = self.store.link().run(|connection| {
            redis::cmd("XRANGE").arg(key).arg("-").arg("+").arg("COUNT").arg(most).query(connection)
        })?;
        Ok(entries.into_iter().map(|(id, fields)| letter(id, fields)).collect())
    }

    /// Delivers one anew, behind what waits in its shard. It is answered unless its room has an answer. False if it is
    /// not there any more.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub fn replay(&self, id: &str) -> Result<bool> {
        let (key, mut link) = (self.keys.dead(), self.store.link());
        let found: Vec<(String, HashMap<String, String>)> =
            link.run(|connection| redis::cmd("XRANGE").arg(&key).arg(id).arg(id).query(connection))?;
        let Some(letter) = found.into_iter().next().map(|(id, fields)| letter(id, fields)) else {
            return Ok(false);
        };
        if letter.stream.is_empty() {
            return Err(Error::invalid(format!("the dead letter {id} does not say where it came from")));
        }
        link.run(|connection| {
            let script = Script::new(include_str!("lua/replay.lua"));
            script.key(&key).key(&letter.stream).arg(id).invoke(connection)
        })
    }

    /// Forgets one. False if it is not there any more.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub fn remove(&self, id: &str) -> Result<bool> {
        let key = self.keys.dead();
        self.store.link().run(|connection| redis::cmd("XDEL").arg(key).arg(id).query(connection))
    }
}

fn letter(id: String, mut fields: HashMap<String, String>) -> DeadLetter {
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    let message = take("message");
    let question = serde_json::from_str(&message)
        .or_else(|_| serde_json::from_str::<Handed>(&message).map(|handed| handed.question))
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
