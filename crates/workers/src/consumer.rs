//! Reads one stream while a lease is held: in order within a room, each entry until it is done with.

mod parked;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::{FromRedisValue, Script, Value};

use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Result};
use crate::lease::Term;
use crate::store::{Link, Store};
use parked::Parked;

/// The consumer group of every stream, and its only consumer: the next owner reads what was pending first.
pub(crate) const GROUP: &str = "crustocean";
const CONSUMER: &str = "owner";

/// How long a call waits for something new. What ends a term is seen at least as often.
const WAIT: Duration = Duration::from_millis(200);

/// What is read, and where what cannot be done with goes.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) stream: String,
    /// A hash: see `lua/restart.lua`.
    pub(crate) restart: String,
    /// Where answers for the holder go.
    pub(crate) answers: String,
    pub(crate) dead: String,
}

/// What happens to entries that fail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// After so many deliveries it is a dead letter.
    pub(crate) deliveries: u64,
    pub(crate) backoff: Backoff,
    pub(crate) most_dead: usize,
}

/// An entry that is delivered.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) room: String,
    pub(crate) message: String,
    /// Which delivery of it this is, from 1 on.
    pub(crate) delivery: u64,
    /// It may have been answered before, although this is its first delivery.
    pub(crate) doubtful: bool,
}

/// What came of an entry.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Acknowledge it; with an answer for the holder to say, if there is one.
    Done(Option<HandOver>),
    /// It failed, for this reason.
    Failed(String),
    /// It would fail again and again.
    Hopeless(String),
    /// The term is over: the next owner gets it.
    Left,
}

/// An answer that the holder of the connection is to say.
#[derive(Debug)]
pub(crate) struct HandOver {
    pub(crate) question: String,
    pub(crate) json: String,
}

pub(crate) struct Consumer<'a> {
    term: &'a Term,
    link: Link,
    source: Source,
    policy: RetryPolicy,
    parked: Parked,
    /// Done with, and not acknowledged yet: the next call does both.
    done: Option<(Entry, Option<HandOver>)>,
    /// Where to read on. `>` once what was pending is through.
    position: String,
    /// Entries up to this one may have been answered before Redis was restarted.
    restarted: StreamId,
    connected: u64,
}

/// What a stream numbers its entries by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct StreamId(u64, u64);

impl StreamId {
    fn parse(text: &str) -> Self {
        let (ms, number) = text.split_once('-').unwrap_or((text, "0"));
        StreamId(ms.parse().unwrap_or_default(), number.parse().unwrap_or_default())
    }
}

enum Step {
    Lost,
    Nothing,
    Entry(Entry),
}

impl<'a> Consumer<'a> {
    pub(crate) fn new(store: &Store, term: &'a Term, source: Source, policy: RetryPolicy) -> Self {
        Consumer {
            term,
            link: store.link(),
            source,
            policy,
            parked: Parked::default(),
            done: None,
            position: "0".to_owned(),
            restarted: StreamId::default(),
            connected: 0,
        }
    }

    /// Reads until the term ends. `work` is called for one entry at a time, for the entries of one room in their order.
    ///
    /// # Errors
    /// When Redis refuses for a reason that waiting does not change.
    pub(crate) fn run(mut self, mut work: impl FnMut(&Entry) -> Outcome) -> Result<()> {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        while self.term.is_held() {
            match self.turn(&mut work) {
                Ok(true) => backoff.reset(),
                Ok(false) => return Ok(()),
                Err(error) if error.is_retryable() => {
                    log::warn!("waiting for Redis: {error}");
                    // A reply may have been lost, and with it an entry that is pending now.
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

    /// One entry, or a short wait for one. False at the end.
    fn turn(&mut self, work: &mut impl FnMut(&Entry) -> Outcome) -> Result<bool> {
        self.look_for_a_restart()?;
        if self.term.end().is_some() {
            self.step(false)?;
            return Ok(false);
        }
        if let Some(entry) = self.parked.take_due(Instant::now()) {
            self.step(false)?;
            return self.retry(entry, work);
        }
        let read_on = !self.parked.is_full();
        match self.step(read_on)? {
            Step::Lost => return Err(Error::lease_lost()),
            Step::Entry(entry) if self.parked.holds(&entry.id) => {}
            Step::Entry(entry) if self.parked.blocks(&entry.room) => self.parked.append(entry),
            Step::Entry(entry) => self.process(entry, work)?,
            Step::Nothing if read_on && self.position != ">" => self.position = ">".to_owned(),
            Step::Nothing => self.wait(read_on)?,
        }
        Ok(true)
    }

    fn retry(&mut self, mut entry: Entry, work: &mut impl FnMut(&Entry) -> Outcome) -> Result<bool> {
        let counted = self.count(&entry.id);
        match counted {
            Err(error) => {
                self.parked.put_back(entry, Instant::now());
                return Err(error);
            }
            // Gone: somebody has deleted it.
            Ok(0) => self.parked.release(&entry.room),
            Ok(delivery) => {
                entry.delivery = delivery;
                entry.doubtful = true;
                self.process(entry, work)?;
            }
        }
        Ok(true)
    }

    fn process(&mut self, entry: Entry, work: &mut impl FnMut(&Entry) -> Outcome) -> Result<()> {
        if entry.message.is_empty() {
            // Deleted while it was pending.
            self.parked.release(&entry.room);
            self.done = Some((entry, None));
            return Ok(());
        }
        let outcome = if entry.delivery > self.policy.deliveries {
            let times = entry.delivery - 1;
            Outcome::Hopeless(format!("it was begun {times} times, and every time its process ended"))
        } else {
            work(&entry)
        };
        match outcome {
            Outcome::Done(answer) => {
                self.parked.release(&entry.room);
                self.done = Some((entry, answer));
            }
            Outcome::Failed(reason) if entry.delivery < self.policy.deliveries => {
                let pause = self.policy.backoff.after(entry.delivery);
                log::warn!(
                    "delivery {} of {} failed, again in {pause:?}: {reason}",
                    entry.delivery,
                    entry.id
                );
                self.parked.put_back(entry, Instant::now() + pause);
            }
            Outcome::Failed(reason) | Outcome::Hopeless(reason) => {
                log::error!("{} is a dead letter: {reason}", entry.id);
                if let Err(error) = self.bury(&entry, &reason) {
                    self.parked.put_back(entry, Instant::now() + self.policy.backoff.after(1));
                    return Err(error);
                }
                self.parked.release(&entry.room);
            }
            Outcome::Left => self.parked.put_back(entry, Instant::now() + Duration::from_secs(60)),
        }
        Ok(())
    }

    fn look_for_a_restart(&mut self) -> Result<()> {
        if self.link.is_up() && self.connected == self.link.generation() {
            return Ok(());
        }
        let run = self.link.server_info()?.run_id;
        let answer: String = self.link.run(|connection| {
            let script = Script::new(include_str!("lua/restart.lua"));
            let mut call = script.key(self.term.key());
            call.key(&self.source.stream).key(&self.source.restart).arg(self.term.value()).arg(run);
            call.invoke(connection)
        })?;
        if answer == "lost" {
            return Err(Error::lease_lost());
        }
        self.restarted = self.restarted.max(StreamId::parse(&answer));
        self.position = "0".to_owned();
        self.connected = self.link.generation();
        Ok(())
    }

    /// Acknowledges what is done with, and fetches the next entry.
    fn step(&mut self, fetch: bool) -> Result<Step> {
        if !fetch && self.done.is_none() {
            return Ok(Step::Nothing);
        }
        let (id, room, question, answer) = match &self.done {
            Some((entry, Some(answer))) => {
                (entry.id.as_str(), entry.room.as_str(), answer.question.as_str(), answer.json.as_str())
            }
            Some((entry, None)) => (entry.id.as_str(), "", "", ""),
            None => ("", "", "", ""),
        };
        let position = if fetch { self.position.as_str() } else { "" };
        let answer: Vec<Value> = self.link.run(|connection| {
            let script = Script::new(include_str!("lua/step.lua"));
            let mut call = script.key(self.term.key());
            call.key(&self.source.stream).key(&self.source.answers);
            call.arg(self.term.value()).arg(GROUP).arg(CONSUMER).arg(position);
            call.arg(id).arg(answer).arg(room).arg(question);
            call.invoke(connection)
        })?;
        let text = |value: &Value| String::from_redis_value(value.clone()).ok();
        let step = match &answer[..] {
            [what, ..] if text(what).as_deref() == Some("lost") => return Ok(Step::Lost),
            [_, id, delivery, fields] => {
                let (id, delivery) = (text(id), u64::from_redis_value(delivery.clone()).ok());
                let fields = HashMap::<String, String>::from_redis_value(fields.clone()).unwrap_or_default();
                let (Some(id), Some(delivery)) = (id, delivery) else { return Err(Error::unexpected()) };
                if self.position != ">" {
                    self.position.clone_from(&id);
                }
                let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
                let doubtful = matches!(field("from").as_str(), "history" | "replay");
                let doubtful = doubtful || delivery > 1 || StreamId::parse(&id) <= self.restarted;
                Step::Entry(Entry { room: field("room"), message: field("message"), id, delivery, doubtful })
            }
            _ => Step::Nothing,
        };
        self.done = None;
        Ok(step)
    }

    fn count(&mut self, id: &str) -> Result<u64> {
        let count: i64 = self.link.run(|connection| {
            let script = Script::new(include_str!("lua/again.lua"));
            let mut call = script.key(self.term.key());
            call.key(&self.source.stream).arg(self.term.value()).arg(GROUP).arg(CONSUMER).arg(id);
            call.invoke(connection)
        })?;
        u64::try_from(count).map_err(|_| Error::lease_lost())
    }

    fn bury(&mut self, entry: &Entry, reason: &str) -> Result<()> {
        let answer: String = self.link.run(|connection| {
            let script = Script::new(include_str!("lua/bury.lua"));
            let mut call = script.key(self.term.key());
            call.key(&self.source.stream)
                .key(&self.source.dead)
                .arg(self.term.value())
                .arg(GROUP)
                .arg(&entry.id);
            call.arg(self.policy.most_dead).arg(&self.source.stream).arg(reason).arg(entry.delivery);
            call.invoke(connection)
        })?;
        if answer == "lost" { Err(Error::lease_lost()) } else { Ok(()) }
    }

    /// Until something new is there, or what is parked is due. It reads without the group: an entry given to a process
    /// that was stopped meanwhile would be pending there, and missed by the next owner.
    fn wait(&mut self, read_on: bool) -> Result<()> {
        let due = self.parked.next_due().map(|due| due.saturating_duration_since(Instant::now()));
        let wait = due.map_or(WAIT, |due| due.min(WAIT)).max(Duration::from_millis(1));
        if !read_on {
            std::thread::sleep(wait);
            return Ok(());
        }
        let (stream, millis) = (&self.source.stream, crate::lease::millis(wait));
        self.link.wait(wait, |connection| {
            let last: Option<Vec<Value>> =
                redis::cmd("XINFO").arg("GROUPS").arg(stream).query(connection).ok();
            let Some(delivered) = last.as_deref().and_then(last_delivered) else { return Ok(()) };
            let mut read = redis::cmd("XREAD");
            read.arg("COUNT").arg(1).arg("BLOCK").arg(millis).arg("STREAMS").arg(stream).arg(delivered);
            read.exec(connection)
        })
    }
}

/// The last entry that the group was given, out of `XINFO GROUPS`.
fn last_delivered(groups: &[Value]) -> Option<String> {
    let fields = HashMap::<String, Value>::from_redis_value(groups.first()?.clone()).ok()?;
    String::from_redis_value(fields.get("last-delivered-id")?.clone()).ok()
}
