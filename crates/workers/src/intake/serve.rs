//! One term of an intake: what was missed first, then what comes.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crustocean::agent::{RecvError, Room};
use crustocean::model::AgencyId;
use crustocean::{Agent, Event, Message};

use super::book::{Line, OVERLAP, Taken, time_of};
use super::past::Past;
use super::{Intake, outbox};
use crate::backoff::Backoff;
use crate::connect::is_passing;
use crate::error::{Error, Result};
use crate::lease::Term;
use crate::store::Link;

/// How many events are written to Redis at once, if they are there.
const BATCH: usize = 64;
/// How often watermarks move when nothing is asked.
const GLANCE: Duration = Duration::from_secs(1);
/// How many rooms are read at a time.
const READERS: usize = 8;

pub(super) fn serve(intake: &Intake, agent: &Agent, term: &Term) -> Result<()> {
    std::thread::scope(|scope| {
        let outbox = scope.spawn(|| outbox::run(intake, agent, term));
        let taken = Serving {
            intake,
            agent,
            term,
            link: intake.store.link(),
            passed: HashMap::new(),
            kept: HashSet::new(),
        }
        .run();
        // The other thread ends with the term.
        term.ask_to_end();
        let said =
            outbox.join().unwrap_or_else(|_| Err(Error::invalid("the thread that says answers panicked")));
        taken.and(said)
    })
}

struct Serving<'a> {
    intake: &'a Intake,
    agent: &'a Agent,
    term: &'a Term,
    link: Link,
    /// The newest message of each room that has not moved its watermark yet.
    passed: HashMap<AgencyId, Line>,
    /// Rooms that have been read up to this term.
    kept: HashSet<AgencyId>,
}

impl Serving<'_> {
    fn run(mut self) -> Result<()> {
        self.patiently(|serving| Ok((serving.intake.rooms)(serving.agent)?))?;
        self.ensure()?;
        let events = self.agent.events();
        let mut glance = Instant::now();
        while self.term.goes_on() {
            let mut batch = Vec::new();
            let mut next = events.recv_timeout(GLANCE / 4);
            loop {
                match next {
                    Ok(Event::Message(message)) => self.note(&message, &mut batch)?,
                    Ok(Event::AgencyJoined(joined)) if !self.kept.contains(&joined.agency_id) => {
                        self.write(&mut batch)?;
                        self.catch_up()?;
                    }
                    Ok(Event::GapNotFilled { agency_id, error, .. }) => {
                        log::warn!("reading {agency_id} from its watermark: {error}");
                        self.write(&mut batch)?;
                        self.kept.remove(&agency_id);
                        self.catch_up()?;
                    }
                    Ok(_) => {}
                    Err(RecvError::Timeout) => break,
                    Err(RecvError::Failed(error)) => return Err(error.into()),
                    Err(_) => return Ok(()),
                }
                if batch.len() >= BATCH {
                    break;
                }
                next = events.try_recv();
            }
            self.write(&mut batch)?;
            if glance.elapsed() >= GLANCE {
                glance = Instant::now();
                let mut passed: Vec<Line> = self.passed.drain().map(|(_, line)| line).collect();
                self.write(&mut passed)?;
                // An idle connection does not tell by itself that Redis was restarted.
                drop(self.link.ping());
                self.ensure()?;
            }
        }
        Ok(())
    }

    /// Sees to a connection to Redis. When it is a new one Redis may have been restarted, and have forgotten the last
    /// second or everything: then the rooms are read again before anything newer is written.
    fn ensure(&mut self) -> Result<()> {
        while !self.link.is_up() {
            self.patiently(|serving| serving.link.ping())?;
            self.kept.clear();
            self.catch_up()?;
        }
        Ok(())
    }

    fn note(&mut self, message: &Message, batch: &mut Vec<Line>) -> Result<()> {
        let is_question = (self.intake.filter)(self.agent, message);
        if is_question {
            if !self.intake.book.has_taken(&message.id) {
                batch.push(Line::new(message, true)?);
            }
        } else {
            self.passed.insert(message.agency_id.clone(), Line::new(message, false)?);
        }
        Ok(())
    }

    /// Writes what is there, however long Redis takes.
    fn write(&mut self, batch: &mut Vec<Line>) -> Result<()> {
        let lines = std::mem::take(batch);
        // A watermark that lags behind does no harm; one that is ahead would.
        for line in lines.iter().filter(|line| !line.json.is_empty()) {
            self.passed.remove(&line.room);
        }
        self.write_from(&lines, "live")
    }

    fn write_from(&mut self, lines: &[Line], from: &str) -> Result<()> {
        let mut rest = lines;
        let mut full = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        while !rest.is_empty() {
            let (now, _) = rest.split_at(rest.len().min(BATCH));
            let taken = self.patiently(|serving| {
                if from == "live" {
                    serving.ensure()?;
                }
                serving.intake.take(&mut serving.link, serving.term, now, from)
            })?;
            let done = taken.iter().take_while(|taken| **taken == Taken::Done).count();
            for line in rest.iter().take(done).filter(|line| !line.json.is_empty()) {
                self.intake.book.remember(&line.id);
            }
            rest = rest.get(done..).unwrap_or_default();
            if done > 0 {
                full.reset();
            }
            match (taken.get(done), rest.first()) {
                (Some(Taken::Full), _) => {
                    log::warn!("a shard is full: the intake waits for its workers");
                    self.term.wait_end(full.next());
                    self.check()?;
                }
                (Some(Taken::UnknownRoom), Some(line)) => {
                    // Redis has lost its data, or the room is a new one.
                    let room = line.room.clone();
                    self.patiently(|serving| serving.open(&room).map(drop))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Tries as long as it may be of use.
    fn patiently<T>(&mut self, mut attempt: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));
        loop {
            self.check()?;
            match attempt(self) {
                Err(error) if may_pass(&error) => {
                    log::warn!("the intake waits: {error}");
                    self.term.wait_end(backoff.next());
                }
                other => return other,
            }
        }
    }

    fn check(&self) -> Result<()> {
        if self.term.goes_on() || (self.term.end().is_none() && !self.term.is_held()) {
            return Ok(());
        }
        Err(Error::lease_lost())
    }

    /// Reads the rooms that have not been read in this term from their watermarks on.
    fn catch_up(&mut self) -> Result<()> {
        let rooms: Vec<Room> =
            self.agent.rooms().into_iter().filter(|room| !self.kept.contains(room.id())).collect();
        let queue = Mutex::new(rooms.iter());
        let next = || queue.lock().ok().and_then(|mut queue| queue.next());
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS.min(rooms.len()))
                .map(|_| {
                    let mut reader = Serving {
                        intake: self.intake,
                        agent: self.agent,
                        term: self.term,
                        link: self.intake.store.link(),
                        passed: HashMap::new(),
                        kept: HashSet::new(),
                    };
                    scope.spawn(move || {
                        while let Some(room) = next() {
                            reader.read(room)?;
                        }
                        Ok(())
                    })
                })
                .collect();
            readers.into_iter().try_for_each(|reader| {
                reader
                    .join()
                    .unwrap_or_else(|_| Err(Error::invalid("a thread that reads a history panicked")))
            })
        })?;
        self.kept.extend(rooms.iter().map(|room| room.id().clone()));
        Ok(())
    }

    fn read(&mut self, room: &Room) -> Result<()> {
        let lines = self.patiently(|reader| reader.missed(room));
        let lines = match lines {
            Err(error) if is_closed_history(&error) => {
                log::warn!("the history of {} cannot be read: {error}", room.id());
                return Ok(());
            }
            other => other?,
        };
        self.write_from(&lines, "history")
    }

    /// What was said in a room since its watermark, oldest first.
    fn missed(&mut self, room: &Room) -> Result<Vec<Line>> {
        let mark = self.open(room.id())?;
        let mut lines = Vec::new();
        for message in room.history().limit(100).iter() {
            let message = message?;
            let time = time_of(&message);
            if time >= 0 && time < mark - OVERLAP {
                break;
            }
            lines.push(Line::new(&message, (self.intake.filter)(self.agent, &message))?);
        }
        lines.reverse();
        // Stable: what has the same time stays in the server's order.
        lines.sort_by_key(|line| line.ms);
        Ok(lines)
    }

    /// A room's watermark. One that Redis does not know begins with what is said from now on; where this process knows
    /// it, Redis has lost it.
    fn open(&mut self, room: &AgencyId) -> Result<i64> {
        let book = &self.intake.book;
        if let Some((mark, origin)) = self.intake.watermark(&mut self.link, room)? {
            book.set_origin(room, origin);
            return Ok(mark);
        }
        let handle = self.agent.rooms().into_iter().find(|known| known.id() == room);
        let past = match handle.map(|room| Past::read(self.agent, &room, self.intake.lookback)) {
            Some(Err(error)) if is_passing(&error) => return Err(error.into()),
            Some(Ok(past)) => past,
            _ => Past::default(),
        };
        let (last, lookback) = (past.last, self.intake.lookback_ms());
        // Without an origin of its own, an answer of the agent's says that the room was kept before.
        let (mark, origin, first) = match book.origin(room).or(past.answered) {
            Some(origin) => (last.saturating_sub(lookback).max(origin), origin, String::new()),
            None => (last, last, past.newest.join(" ")),
        };
        let mark = self.intake.open_room(&mut self.link, self.term, room, mark, origin, &first)?;
        book.set_origin(room, origin);
        Ok(mark)
    }
}

fn may_pass(error: &Error) -> bool {
    error.is_retryable() || error.platform().is_some_and(is_passing)
}

fn is_closed_history(error: &Error) -> bool {
    use crustocean::ErrorKind as Kind;
    error.platform().is_some_and(|error| matches!(error.kind(), Kind::Forbidden | Kind::NotFound))
}
