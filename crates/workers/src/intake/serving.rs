//! One term of an intake: first the missed messages, then the live ones.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crustocean::agent::{RecvError, Room};
use crustocean::model::AgencyId;
use crustocean::{Agent, Event, Message};

use super::outbox;
use super::record::{OVERLAP, Record, time_of};
use super::room_history::RoomHistory;
use super::setup::{Setup, Stored};
use crate::backoff::Backoff;
use crate::connect::is_transient;
use crate::connection::RedisConnection;
use crate::error::{Error, Result};
use crate::lease::Term;

/// How many messages one call writes to Redis.
const MAX_BATCH: usize = 64;
/// How often the intake writes the watermarks when there are no questions.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How many histories the intake reads at the same time.
const MAX_READERS: usize = 8;

pub(super) fn serve(intake: &Setup, agent: &Agent, term: &Term) -> Result<()> {
    thread::scope(|scope| {
        let outbox = thread::Builder::new().spawn_scoped(scope, || outbox::run(intake, agent, term));
        let outbox = outbox.map_err(Error::no_thread)?;
        // End the term also when a closure of the user panics, because the scope waits for the outbox thread, which
        // ends with the term.
        let _end = EndWhenDropped(term);
        let served = Serving {
            intake,
            agent,
            term,
            redis: intake.store.connection(),
            passed: HashMap::new(),
            caught_up: HashSet::new(),
        }
        .run();
        // The outbox thread ends with the term.
        term.request_end();
        let posted =
            outbox.join().unwrap_or_else(|_| Err(Error::invalid("the thread that posts answers panicked")));
        served.and(posted)
    })
}

struct EndWhenDropped<'t>(&'t Term);

impl Drop for EndWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.request_end();
    }
}

struct Serving<'a> {
    intake: &'a Setup,
    agent: &'a Agent,
    term: &'a Term,
    redis: RedisConnection,
    /// The newest message of each room whose watermark has not been written yet.
    passed: HashMap<AgencyId, Record>,
    /// Rooms whose missed messages the intake has read since it last connected to Redis.
    caught_up: HashSet<AgencyId>,
}

impl Serving<'_> {
    fn run(mut self) -> Result<()> {
        self.retry_while_held(|serving| Ok((serving.intake.rooms)(serving.agent)?))?;
        self.ensure_connected()?;
        let events = self.agent.events();
        let mut last_check = Instant::now();
        while self.term.should_continue() {
            let mut batch = Vec::new();
            let mut next = events.recv_timeout(CHECK_INTERVAL / 4);
            loop {
                match next {
                    Ok(Event::Message(message)) => self.sort_in(&message, &mut batch)?,
                    Ok(Event::AgencyJoined(joined)) if !self.caught_up.contains(&joined.agency_id) => {
                        self.write(&mut batch)?;
                        self.catch_up()?;
                    }
                    Ok(Event::GapNotFilled { agency_id, error, .. }) => {
                        crate::logging::record!(
                            Warn,
                            "reading {agency_id} again from its watermark: {error}"
                        );
                        self.write(&mut batch)?;
                        self.caught_up.remove(&agency_id);
                        self.catch_up()?;
                    }
                    Ok(_) => {}
                    Err(RecvError::Timeout) => break,
                    Err(RecvError::Failed(error)) => return Err(error.into()),
                    Err(_) => return Ok(()),
                }
                if batch.len() >= MAX_BATCH {
                    break;
                }
                next = events.try_recv();
            }
            self.write(&mut batch)?;
            if last_check.elapsed() >= CHECK_INTERVAL {
                last_check = Instant::now();
                let mut passed: Vec<Record> = self.passed.drain().map(|(_, record)| record).collect();
                self.write(&mut passed)?;
                // Without a command an idle connection does not notice that Redis was restarted.
                drop(self.redis.ping());
                self.ensure_connected()?;
            }
        }
        Ok(())
    }

    /// Reconnects to Redis if necessary. After a reconnect Redis may have lost its last second of data, or all of it, so
    /// the rooms are read again before newer messages are written.
    fn ensure_connected(&mut self) -> Result<()> {
        while !self.redis.is_up() {
            self.retry_while_held(|serving| serving.redis.ping())?;
            self.caught_up.clear();
            self.catch_up()?;
        }
        Ok(())
    }

    /// Adds a question to the batch. Other messages only move the watermark.
    fn sort_in(&mut self, message: &Message, batch: &mut Vec<Record>) -> Result<()> {
        if self.intake.is_question(self.agent, message) {
            if !self.intake.known.is_stored(&message.id) {
                batch.push(Record::new(message, true)?);
            }
        } else {
            self.passed.insert(message.agency_id.clone(), Record::new(message, false)?);
        }
        Ok(())
    }

    /// Writes the batch. Retries until Redis has it or the term ends.
    fn write(&mut self, batch: &mut Vec<Record>) -> Result<()> {
        let records = std::mem::take(batch);
        // Drop the pending watermarks of these rooms, because the write of a question moves the watermark. A watermark
        // may be too early, but never later than an unwritten question.
        for record in records.iter().filter(|record| record.is_question()) {
            self.passed.remove(&record.room);
        }
        self.write_from(&records, "live")
    }

    fn write_from(&mut self, records: &[Record], from: &str) -> Result<()> {
        let mut rest = records;
        let mut full = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        while !rest.is_empty() {
            let (now, _) = rest.split_at(rest.len().min(MAX_BATCH));
            let stored = self.retry_while_held(|serving| {
                if from == "live" {
                    serving.ensure_connected()?;
                }
                serving.intake.store_messages(&mut serving.redis, serving.term, now, from)
            })?;
            let done = stored.iter().take_while(|stored| **stored == Stored::Done).count();
            for record in rest.iter().take(done).filter(|record| record.is_question()) {
                self.intake.known.mark_stored(&record.id);
            }
            rest = rest.get(done..).unwrap_or_default();
            if done > 0 {
                full.reset();
            }
            match (stored.get(done), rest.first()) {
                (Some(Stored::Full), _) => {
                    crate::logging::record!(
                        Warn,
                        "a shard is full: the intake waits until workers have answered"
                    );
                    self.term.wait_for_end(full.next());
                    self.check()?;
                }
                (Some(Stored::UnknownRoom), Some(record)) => {
                    // The room is new, or Redis has lost its data.
                    let room = record.room.clone();
                    self.retry_while_held(|serving| serving.open(&room).map(drop))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Retries temporary errors until the term ends.
    fn retry_while_held<T>(&mut self, mut attempt: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));
        loop {
            self.check()?;
            match attempt(self) {
                Err(error) if is_retryable(&error) => {
                    crate::logging::record!(Warn, "the intake waits: {error}");
                    self.term.wait_for_end(backoff.next());
                }
                other => return other,
            }
        }
    }

    fn check(&self) -> Result<()> {
        if self.term.should_continue() || (self.term.end().is_none() && !self.term.is_held()) {
            return Ok(());
        }
        Err(Error::lease_lost())
    }

    /// Reads the missed messages of all rooms that are not in `caught_up`.
    fn catch_up(&mut self) -> Result<()> {
        let rooms: Vec<Room> =
            self.agent.rooms().into_iter().filter(|room| !self.caught_up.contains(room.id())).collect();
        let queue = Mutex::new(rooms.iter());
        let next = || queue.lock().ok().and_then(|mut queue| queue.next());
        thread::scope(|scope| {
            let readers: Vec<_> = (0..MAX_READERS.min(rooms.len()))
                .map(|_| {
                    let mut reader = Serving {
                        intake: self.intake,
                        agent: self.agent,
                        term: self.term,
                        redis: self.intake.store.connection(),
                        passed: HashMap::new(),
                        caught_up: HashSet::new(),
                    };
                    thread::Builder::new().spawn_scoped(scope, move || {
                        while let Some(room) = next() {
                            reader.read(room)?;
                        }
                        Ok(())
                    })
                })
                .collect();
            readers.into_iter().try_for_each(|reader| {
                let read = reader.map_err(Error::no_thread)?.join();
                read.unwrap_or_else(|_| Err(Error::invalid("a thread that reads a history panicked")))
            })
        })?;
        self.caught_up.extend(rooms.iter().map(|room| room.id().clone()));
        Ok(())
    }

    fn read(&mut self, room: &Room) -> Result<()> {
        let missed = self.retry_while_held(|reader| reader.missed(room));
        let missed = match missed {
            Err(error) if is_unreadable_history(&error) => {
                crate::logging::record!(Warn, "the history of {} cannot be read: {error}", room.id());
                return Ok(());
            }
            other => other?,
        };
        self.write_from(&missed, "history")
    }

    /// The messages of a room since its watermark, oldest first.
    fn missed(&mut self, room: &Room) -> Result<Vec<Record>> {
        let mark = self.open(room.id())?;
        let mut records = Vec::new();
        for message in room.history().limit(100).iter() {
            let message = message?;
            let time = time_of(&message);
            if time >= 0 && time < mark - OVERLAP {
                break;
            }
            records.push(Record::new(&message, self.intake.is_question(self.agent, &message))?);
        }
        records.reverse();
        // A stable sort: messages of the same time stay in the server's order.
        records.sort_by_key(|record| record.ms);
        Ok(records)
    }

    /// A room's watermark. If Redis does not know the room, adds it. The messages of a new room count from now on. If
    /// this process knows the room, Redis has lost it, and its messages count from its origin on.
    fn open(&mut self, room: &AgencyId) -> Result<i64> {
        let known = &self.intake.known;
        if let Some((mark, origin)) = self.intake.watermark(&mut self.redis, room)? {
            known.set_origin(room, origin);
            return Ok(mark);
        }
        let handle = self.agent.rooms().into_iter().find(|known| known.id() == room);
        let history = match handle.map(|room| RoomHistory::read(self.agent, &room, self.intake.lookback)) {
            Some(Err(error)) if is_transient(&error) => return Err(error.into()),
            Some(Ok(history)) => history,
            _ => RoomHistory::default(),
        };
        let (last, lookback) = (history.last, self.intake.lookback_ms());
        // If this process does not know the origin, an answer of the agent shows that the room was served before.
        let (mark, origin, first) = match known.origin(room).or(history.answered) {
            Some(origin) => (last.saturating_sub(lookback).max(origin), origin, String::new()),
            None => (last, last, history.newest.join(" ")),
        };
        let mark = self.intake.open_room(&mut self.redis, self.term, room, mark, origin, &first)?;
        known.set_origin(room, origin);
        Ok(mark)
    }
}

fn is_retryable(error: &Error) -> bool {
    error.is_retryable() || error.platform().is_some_and(is_transient)
}

fn is_unreadable_history(error: &Error) -> bool {
    use crustocean::ErrorKind as Kind;
    error.platform().is_some_and(|error| matches!(error.kind(), Kind::Forbidden | Kind::NotFound))
}
