//! Several rooms at once, each in order.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::agent::{Agent, Mention, Mentions};
use crate::error::{Error, Result};
use crate::model::AgencyId;

/// Questions that were taken from the agent and wait for a thread: no more, and no more bytes of text.
const MOST_WAITING: usize = 1024;
const MOST_BYTES: usize = 8 << 20;
/// How soon it is noticed that the agent has ended while every thread is busy.
const RECHECK_INTERVAL: Duration = Duration::from_millis(50);

impl Mentions {
    /// Hands every message to `handler`, on up to so many threads (at least one), which are started as they are needed: several rooms at once, but the messages of one
    /// room in order and never two at a time. Blocks until the agent has ended (closed, stopped, or finished) and the
    /// handlers that are at work then have returned.
    ///
    /// A handler that returns an error or panics costs its own message: that is logged as a warning, and the others go
    /// on. A run that it leaves open ends as an error in the room.
    ///
    /// Up to 1,024 messages and 8 MiB of text wait for a free thread; more stay in the agent's
    /// [queue](crate::agent::AgentBuilder::queue). What waits when the agent ends is not handled: an agent that
    /// [remembers](crate::agent::AgentBuilder::remember) hands it out after the next start.
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::from_env()?;
    /// agent.join_all()?;
    /// agent.mentions().in_parallel(8, |question| {
    ///     // Two minutes of work, and no other room waits for it. What fails here is logged.
    ///     agent.reply(&question, "42")
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// What had ended the agent, if it was neither closed nor stopped here. [`Config`](crate::ErrorKind::Config) when no
    /// thread can be started.
    pub fn in_parallel<E: fmt::Display>(
        self,
        threads: usize,
        handler: impl Fn(Mention) -> Result<(), E> + Sync,
    ) -> Result<()> {
        let agent = self.agent().clone();
        let desk = Desk::default();
        let ended = thread::scope(|scope| {
            // Whatever happens here, the threads have to end.
            let _end = EndWhenDropped(&desk);
            let start = || {
                let work = || desk.work(&agent, &handler);
                let name = "crustocean-worker".to_owned();
                desk.lock().free_threads += 1;
                thread::Builder::new().name(name).spawn_scoped(scope, work).map(drop)
            };
            start().map_err(|error| Error::config("no thread can be started").with_source(error))?;
            let (mut started, mut most) = (1, threads.max(1));
            for question in self {
                if !desk.put(&agent, question?) {
                    break;
                }
                if started < most && desk.needs_thread() {
                    match start() {
                        Ok(()) => started += 1,
                        Err(error) => {
                            crate::logging::warn!(
                                "only {started} of {threads} threads can be started: {error}"
                            );
                            most = started;
                        }
                    }
                }
            }
            Ok(())
        });
        desk.leave_open();
        ended
    }
}

/// Where questions wait for a thread.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    /// There is something to do, or it is over.
    work: Condvar,
    /// There is room for another one.
    space: Condvar,
}

#[derive(Default)]
struct State {
    /// The next question of each room that nobody works for.
    ready: VecDeque<Mention>,
    /// The rooms of these and those that somebody works for, with what is to come after that.
    rooms: HashMap<AgencyId, VecDeque<Mention>>,
    waiting: usize,
    bytes: usize,
    /// The threads that have no question.
    free_threads: usize,
    over: bool,
}

struct EndWhenDropped<'d>(&'d Desk);

impl Drop for EndWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.work.notify_all();
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False when the agent has ended before there was room for it.
    fn put(&self, agent: &Agent, question: Mention) -> bool {
        let mut state = self.lock();
        while state.waiting >= MOST_WAITING || state.bytes >= MOST_BYTES {
            if agent.is_closed() {
                drop(state);
                question.leave_open();
                return false;
            }
            state =
                self.space.wait_timeout(state, RECHECK_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.put(question);
        drop(state);
        self.work.notify_one();
        true
    }

    /// Whether a question that may be worked on has no thread.
    fn needs_thread(&self) -> bool {
        let state = self.lock();
        state.ready.len() > state.free_threads
    }

    /// What nobody has begun is for the next start, if the agent remembers.
    fn leave_open(&self) {
        let (ready, rooms) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.ready), std::mem::take(&mut state.rooms))
        };
        ready.into_iter().chain(rooms.into_values().flatten()).for_each(Mention::leave_open);
    }

    /// One of the threads.
    fn work<E: fmt::Display>(&self, agent: &Agent, handler: &impl Fn(Mention) -> Result<(), E>) {
        while let Some(question) = self.next(agent) {
            let (room, id) = (question.agency_id.clone(), question.id.clone());
            match catch_unwind(AssertUnwindSafe(|| handler(question))) {
                Ok(Ok(())) => {}
                // What was under way when the agent ended has ended with it.
                Ok(Err(error)) if agent.is_closed() => {
                    crate::logging::info!("message {id} is not answered: {error}");
                }
                Ok(Err(error)) => crate::logging::warn!("message {id} is not answered: {error}"),
                Err(panic) => {
                    crate::logging::warn!("the handler of message {id} panicked: {}", panic_text(&*panic));
                }
            }
            self.lock().free(&room);
            self.work.notify_one();
        }
    }

    /// The next question that may be worked on; `None` at the end.
    fn next(&self, agent: &Agent) -> Option<Mention> {
        let mut state = self.lock();
        loop {
            if state.over {
                return None;
            }
            if let Some(question) = state.take() {
                drop(state);
                self.space.notify_one();
                if agent.is_closed() {
                    question.leave_open();
                    return None;
                }
                return Some(question);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    fn put(&mut self, question: Mention) {
        self.waiting += 1;
        self.bytes += question.content.len();
        match self.rooms.get_mut(&question.agency_id) {
            Some(later) => later.push_back(question),
            None => {
                self.rooms.insert(question.agency_id.clone(), VecDeque::new());
                self.ready.push_back(question);
            }
        }
    }

    fn take(&mut self) -> Option<Mention> {
        let question = self.ready.pop_front()?;
        self.free_threads -= 1;
        self.waiting -= 1;
        self.bytes -= question.content.len();
        Some(question)
    }

    /// Nobody works for this room any more: its next question is due, after those of others.
    fn free(&mut self, room: &AgencyId) {
        self.free_threads += 1;
        match self.rooms.get_mut(room).and_then(VecDeque::pop_front) {
            Some(next) => self.ready.push_back(next),
            None => drop(self.rooms.remove(room)),
        }
    }
}

/// What a panic said.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<&str>() {
        Some(text) => text,
        None => panic.downcast_ref::<String>().map_or("without words", String::as_str),
    }
}
