//! Handles the messages of several rooms at the same time. The messages of one room stay in order.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::thread;
use std::time::Duration;

use crate::agent::inner::AgentInner;
use crate::agent::{Mention, Mentions};
use crate::error::{Error, Result};
use crate::model::AgencyId;
use crate::sync::lock::{Condvar, Mutex};
use crate::user_code::caught;

/// The largest number of questions that wait for a thread, and the most bytes of their texts.
const MAX_WAITING: usize = 1024;
const MAX_BYTES: usize = 8 << 20;
/// How often `put` checks whether the agent has ended, while all threads are busy.
const RECHECK_INTERVAL: Duration = Duration::from_millis(50);

impl Mentions {
    /// Handles each message with `handler`, on up to `threads` threads (at least one): several rooms at the same time,
    /// and the messages of one room in order, one at a time. Starts a thread only when a message needs one. Blocks
    /// until the agent has ended and the running handlers have returned.
    ///
    /// The handler may return any type of error. If it uses `?`, write the type of its result, as below.
    ///
    /// If a handler returns an error or panics, the crate logs a warning and continues with the other messages. If the
    /// handler leaves a run open, the run ends as an error in the room. After an error the message counts as done; a
    /// handler that calls [`Mention::leave_open`] gets the message again after the next start. After a panic the
    /// message is not done.
    ///
    /// Up to 1,024 messages and 8 MiB of text wait for a free thread. Further messages stay in the agent's
    /// [queue](crate::agent::AgentBuilder::queue). No handler gets the messages that still wait when the agent ends. An
    /// agent that [remembers](crate::agent::AgentBuilder::remember) yields these messages after the next start.
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::from_env()?;
    /// agent.join_all()?;
    /// agent.mentions().in_parallel(8, |question| -> crustocean::Result<()> {
    ///     // This may take two minutes: no other room waits for it. An error is logged.
    ///     let earlier = question.room().recent(20)?;
    ///     question.reply(format!("I have read {} messages", earlier.len()))
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// - The error that ended the agent, if the program neither closed nor stopped the agent: for example,
    ///   [`Unauthorized`](crate::ErrorKind::Unauthorized) if the token was revoked.
    /// - [`Config`](crate::ErrorKind::Config): the system cannot start a thread.
    pub fn in_parallel<E: fmt::Display>(
        self,
        threads: usize,
        handler: impl Fn(Mention) -> Result<(), E> + Sync,
    ) -> Result<()> {
        let agent = self.agent().clone();
        let queue = WorkQueue::default();
        let ended = thread::scope(|scope| {
            // Ends the threads on every path out of this scope.
            let _end = EndWhenDropped(&queue);
            let start = || {
                let work = || queue.work(&agent, &handler);
                let name = "crustocean-worker".to_owned();
                queue.state.lock().free_threads += 1;
                thread::Builder::new().name(name).spawn_scoped(scope, work).map(drop)
            };
            start().map_err(|error| Error::config("no thread can be started").with_source(error))?;
            let (mut started, mut most) = (1, threads.max(1));
            for question in self {
                if !queue.put(&agent, question?) {
                    break;
                }
                if started < most && queue.needs_thread() {
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
        queue.leave_open();
        ended
    }
}

/// The questions that wait for a thread.
#[derive(Default)]
struct WorkQueue {
    state: Mutex<WorkQueueState>,
    /// Notified when a question is ready, and at the end.
    work: Condvar,
    /// Notified when the queue has space for another question.
    space: Condvar,
}

#[derive(Default)]
struct WorkQueueState {
    /// The next question of each room that no thread handles now.
    ready: VecDeque<Mention>,
    /// All rooms that have a question in `ready` or in a handler, with the later questions of the room.
    rooms: HashMap<AgencyId, VecDeque<Mention>>,
    waiting: usize,
    bytes: usize,
    /// The number of threads that have no question.
    free_threads: usize,
    over: bool,
}

struct EndWhenDropped<'q>(&'q WorkQueue);

impl Drop for EndWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.state.lock().over = true;
        self.0.work.notify_all();
    }
}

impl WorkQueue {
    /// Adds a question, and waits for space if necessary. Returns `false` if the agent ended before the queue had
    /// space.
    fn put(&self, agent: &AgentInner, question: Mention) -> bool {
        let mut state = self.state.lock();
        while state.waiting >= MAX_WAITING || state.bytes >= MAX_BYTES {
            if agent.is_closed() {
                drop(state);
                question.leave_open();
                return false;
            }
            state = self.space.wait_timeout(state, RECHECK_INTERVAL);
        }
        state.put(question);
        drop(state);
        self.work.notify_one();
        true
    }

    /// Whether a question in `ready` has no free thread.
    fn needs_thread(&self) -> bool {
        let state = self.state.lock();
        state.ready.len() > state.free_threads
    }

    /// Leaves open all questions that no handler has begun. An agent that remembers yields them after the next start.
    fn leave_open(&self) {
        let (ready, rooms) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.ready), std::mem::take(&mut state.rooms))
        };
        ready.into_iter().chain(rooms.into_values().flatten()).for_each(Mention::leave_open);
    }

    /// The loop of a worker thread.
    fn work<E: fmt::Display>(&self, agent: &AgentInner, handler: &impl Fn(Mention) -> Result<(), E>) {
        while let Some(question) = self.next(agent) {
            let (room, id) = (question.agency_id.clone(), question.id.clone());
            // The error's `Display` and `Drop` are the program's code, too.
            let handled = caught(|| match handler(question) {
                Ok(()) => {}
                // Handlers usually fail after the end of the agent, so this error is no warning.
                Err(error) if agent.is_closed() => {
                    crate::logging::info!("message {id} is not answered: {error}");
                }
                Err(error) => crate::logging::warn!("message {id} is not answered: {error}"),
            });
            if let Err(panic) = handled {
                crate::logging::warn!("the handler of message {id} panicked: {panic}");
            }
            self.state.lock().free(&room);
            self.work.notify_one();
        }
    }

    /// Waits for the next question to handle. Returns `None` at the end.
    fn next(&self, agent: &AgentInner) -> Option<Mention> {
        let mut state = self.state.lock();
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
            state = self.work.wait(state);
        }
    }
}

impl WorkQueueState {
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

    /// Notes that no thread handles this room now. The room's next question goes to the end of `ready`.
    fn free(&mut self, room: &AgencyId) {
        self.free_threads += 1;
        match self.rooms.get_mut(room).and_then(VecDeque::pop_front) {
            Some(next) => self.ready.push_back(next),
            None => drop(self.rooms.remove(room)),
        }
    }
}
