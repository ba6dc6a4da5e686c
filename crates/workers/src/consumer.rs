//! Reads one stream while a lease is held. Delivers the entries of a room in order, and each entry until it is done.

mod delayed;
mod entry;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::{FromRedisValue, Script, Value};

use crate::backoff::Backoff;
use crate::connection::RedisConnection;
use crate::error::{Error, ErrorKind, Result};
use crate::lease::Term;
use crate::moment::as_millis;
use crate::store::Store;
use delayed::Delayed;
pub(crate) use entry::Entry;
use entry::StreamId;

/// The consumer group of every stream. All owners use the same consumer, so the next owner first reads what is pending.
pub(crate) const GROUP: &str = "crustocean";
const CONSUMER: &str = "owner";

/// How long a call waits for a new entry, and the longest time until the consumer notices the end of a term.
const WAIT: Duration = Duration::from_millis(200);

/// The stream to read, and the streams that its entries can move to.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) stream: String,
    /// The key of a hash, which `lua/note_restart.lua` describes.
    pub(crate) restart: String,
    /// The stream of answers for the holder to post.
    pub(crate) answers: String,
    pub(crate) dead: String,
}

/// How often the consumer delivers a failed entry again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// An entry becomes a dead letter after this many deliveries.
    pub(crate) deliveries: u64,
    pub(crate) backoff: Backoff,
    pub(crate) max_dead_letters: usize,
}

/// The result of working on an entry.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The entry is acknowledged. The answer, if there is one, goes to the holder's stream.
    Done(Option<HandOver>),
    /// The entry failed for this reason. The consumer delivers it again.
    Failed(String),
    /// The entry would always fail. It becomes a dead letter.
    Permanent(String),
    /// The term has ended: the next owner gets the entry.
    TermEnded,
}

/// An answer for the holder of the agent's connection to post.
#[derive(Debug)]
pub(crate) struct HandOver {
    pub(crate) question: String,
    pub(crate) json: String,
}

pub(crate) struct Consumer<'a> {
    term: &'a Term,
    redis: RedisConnection,
    source: Source,
    policy: RetryPolicy,
    delayed: Delayed,
    /// An entry that is done but not acknowledged. The next script call acknowledges it and reads the next entry.
    done: Option<(Entry, Option<HandOver>)>,
    /// The position for the next read. `>` after all pending entries have been read.
    position: String,
    /// Entries up to this one may have been answered before a restart of Redis.
    restarted: StreamId,
    connected: u64,
}

/// The answer of `lua/acknowledge_and_read.lua`.
enum Next {
    Lost,
    Nothing,
    Entry(Entry),
}

impl<'a> Consumer<'a> {
    pub(crate) fn new(store: &Store, term: &'a Term, source: Source, policy: RetryPolicy) -> Self {
        Consumer {
            term,
            redis: store.connection(),
            source,
            policy,
            delayed: Delayed::default(),
            done: None,
            position: "0".to_owned(),
            restarted: StreamId::default(),
            connected: 0,
        }
    }

    /// Reads until the term ends. Calls `work` for one entry at a time, and for the entries of one room in their order.
    ///
    /// # Errors
    /// `Invalid` if the server answers in a way that Redis 7 does not. The function retries all other errors of Redis.
    pub(crate) fn run(mut self, mut work: impl FnMut(&Entry) -> Outcome) -> Result<()> {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        while self.term.is_held() {
            match self.handle_next(&mut work) {
                Ok(true) => backoff.reset(),
                Ok(false) => return Ok(()),
                Err(error) if error.is_retryable() => {
                    crate::logging::record!(Warn, "waiting for Redis: {error}");
                    // Read the pending entries again, because the entry in a lost reply is pending now.
                    self.position = "0".to_owned();
                    std::thread::sleep(backoff.next().min(Duration::from_secs(1)));
                }
                Err(error) if error.kind() == ErrorKind::LeaseLost => {
                    self.term.lose();
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Handles one entry, or waits a short time for one. Returns false when the term has ended.
    fn handle_next(&mut self, work: &mut impl FnMut(&Entry) -> Outcome) -> Result<bool> {
        self.check_for_restart()?;
        if self.term.end().is_some() {
            self.acknowledge_and_read(false)?;
            return Ok(false);
        }
        if let Some(entry) = self.delayed.take_due(Instant::now()) {
            self.acknowledge_and_read(false)?;
            return self.retry(entry, work);
        }
        let read_on = !self.delayed.is_full();
        match self.acknowledge_and_read(read_on)? {
            Next::Lost => return Err(Error::lease_lost()),
            Next::Entry(entry) if self.delayed.holds(&entry.id) => {}
            Next::Entry(entry) if self.delayed.blocks(&entry.room) => self.delayed.append(entry),
            Next::Entry(entry) => self.process(entry, work)?,
            Next::Nothing if read_on && self.position != ">" => self.position = ">".to_owned(),
            Next::Nothing => self.wait(read_on)?,
        }
        Ok(true)
    }

    fn retry(&mut self, mut entry: Entry, work: &mut impl FnMut(&Entry) -> Outcome) -> Result<bool> {
        let counted = self.count_delivery(&entry.id);
        match counted {
            Err(error) => {
                self.delayed.put_back(entry, Instant::now());
                return Err(error);
            }
            // The entry was deleted meanwhile.
            Ok(0) => self.delayed.release(&entry.room),
            Ok(delivery) => {
                entry.delivery = delivery;
                entry.maybe_answered = true;
                self.process(entry, work)?;
            }
        }
        Ok(true)
    }

    fn process(&mut self, entry: Entry, work: &mut impl FnMut(&Entry) -> Outcome) -> Result<()> {
        if entry.message.is_empty() {
            // The entry was deleted while it was pending.
            self.delayed.release(&entry.room);
            self.done = Some((entry, None));
            return Ok(());
        }
        let outcome = if entry.delivery > self.policy.deliveries {
            let times = entry.delivery - 1;
            Outcome::Permanent(format!("its process ended during each of {times} deliveries"))
        } else {
            work(&entry)
        };
        match outcome {
            Outcome::Done(answer) => {
                self.delayed.release(&entry.room);
                self.done = Some((entry, answer));
            }
            Outcome::Failed(reason) if entry.delivery < self.policy.deliveries => {
                let pause = self.policy.backoff.after(entry.delivery);
                crate::logging::record!(
                    Warn,
                    "delivery {} of {} failed, again in {pause:?}: {reason}",
                    entry.delivery,
                    entry.id
                );
                self.delayed.put_back(entry, after(pause));
            }
            Outcome::Failed(reason) | Outcome::Permanent(reason) => {
                crate::logging::record!(Error, "{} becomes a dead letter: {reason}", entry.id);
                if let Err(error) = self.move_to_dead_letters(&entry, &reason) {
                    self.delayed.put_back(entry, after(self.policy.backoff.after(1)));
                    return Err(error);
                }
                self.delayed.release(&entry.room);
            }
            Outcome::TermEnded => self.delayed.put_back(entry, Instant::now() + Duration::from_secs(60)),
        }
        Ok(())
    }

    /// After a new connection, stores which entries may have been answered before Redis was restarted, and starts again
    /// with the pending entries.
    fn check_for_restart(&mut self) -> Result<()> {
        if self.redis.is_up() && self.connected == self.redis.generation() {
            return Ok(());
        }
        let run = self.redis.server_info()?.run_id;
        let answer: String = self.redis.run(|connection| {
            let script = Script::new(include_str!("lua/note_restart.lua"));
            let mut call = script.key(self.term.key());
            call.key(&self.source.stream).key(&self.source.restart).arg(self.term.value()).arg(run);
            call.invoke(connection)
        })?;
        if answer == "lost" {
            return Err(Error::lease_lost());
        }
        self.restarted = self.restarted.max(StreamId::parse(&answer));
        self.position = "0".to_owned();
        self.connected = self.redis.generation();
        Ok(())
    }

    /// Acknowledges the entry that is done, and reads the next one if `fetch` is set.
    fn acknowledge_and_read(&mut self, fetch: bool) -> Result<Next> {
        if !fetch && self.done.is_none() {
            return Ok(Next::Nothing);
        }
        let (id, room, question, answer) = match &self.done {
            Some((entry, Some(answer))) => {
                (entry.id.as_str(), entry.room.as_str(), answer.question.as_str(), answer.json.as_str())
            }
            Some((entry, None)) => (entry.id.as_str(), "", "", ""),
            None => ("", "", "", ""),
        };
        let position = if fetch { self.position.as_str() } else { "" };
        let answer: Vec<Value> = self.redis.run(|connection| {
            let script = Script::new(include_str!("lua/acknowledge_and_read.lua"));
            let mut call = script.key(self.term.key());
            call.key(&self.source.stream).key(&self.source.answers);
            call.arg(self.term.value()).arg(GROUP).arg(CONSUMER).arg(position);
            call.arg(id).arg(answer).arg(room).arg(question);
            call.invoke(connection)
        })?;
        let text = |value: &Value| String::from_redis_value(value.clone()).ok();
        let next = match &answer[..] {
            [what, ..] if text(what).as_deref() == Some("lost") => return Ok(Next::Lost),
            [_, id, delivery, fields] => {
                let (id, delivery) = (text(id), u64::from_redis_value(delivery.clone()).ok());
                let fields = HashMap::<String, String>::from_redis_value(fields.clone()).unwrap_or_default();
                let (Some(id), Some(delivery)) = (id, delivery) else { return Err(Error::unexpected()) };
                if self.position != ">" {
                    self.position.clone_from(&id);
                }
                let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
                let maybe_answered = matches!(field("from").as_str(), "history" | "replay");
                let maybe_answered = maybe_answered || delivery > 1 || StreamId::parse(&id) <= self.restarted;
                Next::Entry(Entry {
                    room: field("room"),
                    message: field("message"),
                    id,
                    delivery,
                    maybe_answered,
                })
            }
            _ => Next::Nothing,
        };
        self.done = None;
        Ok(next)
    }

    fn count_delivery(&mut self, id: &str) -> Result<u64> {
        let count: i64 = self.redis.run(|connection| {
            let script = Script::new(include_str!("lua/count_delivery.lua"));
            let mut call = script.key(self.term.key());
            call.key(&self.source.stream).arg(self.term.value()).arg(GROUP).arg(CONSUMER).arg(id);
            call.invoke(connection)
        })?;
        u64::try_from(count).map_err(|_| Error::lease_lost())
    }

    fn move_to_dead_letters(&mut self, entry: &Entry, reason: &str) -> Result<()> {
        let answer: String = self.redis.run(|connection| {
            let script = Script::new(include_str!("lua/dead_letter.lua"));
            let mut call = script.key(self.term.key());
            call.key(&self.source.stream)
                .key(&self.source.dead)
                .arg(self.term.value())
                .arg(GROUP)
                .arg(&entry.id);
            call.arg(self.policy.max_dead_letters).arg(&self.source.stream).arg(reason).arg(entry.delivery);
            call.invoke(connection)
        })?;
        if answer == "lost" { Err(Error::lease_lost()) } else { Ok(()) }
    }

    /// Waits for a new entry, or until a delayed entry is due. Reads without the group: otherwise Redis could deliver an
    /// entry to a process whose term has ended, and the next owner would miss it.
    fn wait(&mut self, read_on: bool) -> Result<()> {
        let due = self.delayed.next_due().map(|due| due.saturating_duration_since(Instant::now()));
        let wait = due.map_or(WAIT, |due| due.min(WAIT)).max(Duration::from_millis(1));
        if !read_on {
            std::thread::sleep(wait);
            return Ok(());
        }
        let (stream, millis) = (&self.source.stream, as_millis(wait));
        self.redis.run_blocking(wait, |connection| {
            let last: Option<Vec<Value>> =
                redis::cmd("XINFO").arg("GROUPS").arg(stream).query(connection).ok();
            let Some(delivered) = last.as_deref().and_then(last_delivered) else { return Ok(()) };
            let mut read = redis::cmd("XREAD");
            read.arg("COUNT").arg(1).arg("BLOCK").arg(millis).arg("STREAMS").arg(stream).arg(delivered);
            read.exec(connection)
        })
    }
}

/// The time after `pause`. A pause of more than a year counts as a year, because `Instant` has a limited range.
fn after(pause: Duration) -> Instant {
    Instant::now() + pause.min(Duration::from_secs(365 * 24 * 60 * 60))
}

/// The id of the last entry delivered to the group, from the answer of `XINFO GROUPS`.
fn last_delivered(groups: &[Value]) -> Option<String> {
    let fields = HashMap::<String, Value>::from_redis_value(groups.first()?.clone()).ok()?;
    String::from_redis_value(fields.get("last-delivered-id")?.clone()).ok()
}
