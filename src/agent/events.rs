//! The iterator over an agent's events.

use std::fmt;
use std::time::{Duration, Instant};

use crate::agent::event::Event;
#[cfg(feature = "agents")]
use crate::agent::listeners::AlwaysWaits;
use crate::agent::listeners::{Kind, Listener};
use crate::agent::{Agent, Decision};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::{Waited, note};

/// The events of an [`Agent`], in order. Returned by [`Agent::events`].
///
/// The iterator blocks until the next event. `None` means that the agent was closed. An `Err` comes at most once, as
/// the last item, if the agent ended for another reason (for example, its token was revoked). If the agent has several
/// loops, one loop gets the error, and all loops end. So `event?` in a loop is correct: a lost connection is not an
/// error, because the agent reconnects.
///
/// `Events` is a handle of the agent and keeps the agent alive.
///
/// # Slow handlers
/// The body of the loop may take any time. Meanwhile heartbeats are answered, and events wait in a queue (4,096 events
/// or 32 MiB by default). When the queue is full, the oldest events are dropped, and [`Event::Lagged`] takes their
/// place. The crate reads the dropped messages from the rooms' histories and yields them next. Other dropped events do
/// not come again. Several threads may each call [`Agent::events`] and iterate: each event goes to exactly one thread.
///
/// ```no_run
/// # fn main() -> crustocean::Result<()> {
/// let agent = crustocean::Agent::from_env()?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| {
///             for event in agent.events() {
///                 // Four handlers at a time.
///                 println!("{event:?}");
///             }
///         });
///     }
/// });
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "events come only to those who ask for them"]
pub struct Events {
    agent: Agent,
    listener: Listener<Agent>,
}

impl Events {
    pub(crate) fn new(agent: Agent, listener: Listener<Agent>) -> Self {
        Events { agent, listener }
    }

    /// Marks the questions that this thread has taken as done. Only a loop over `events()` does so here: a subscription
    /// hands out no questions.
    fn acknowledge_questions(&self) {
        if self.listener.kind == Kind::Events {
            self.agent.acknowledge_questions();
        }
    }

    /// Waits at most `limit` for the next event.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use crustocean::agent::RecvError;
    ///
    /// # fn demo(agent: crustocean::Agent) -> crustocean::Result<()> {
    /// let events = agent.events();
    /// loop {
    ///     match events.recv_timeout(Duration::from_secs(60)) {
    ///         Ok(event) => println!("{event:?}"),
    ///         Err(RecvError::Timeout) => println!("a quiet minute"),
    ///         Err(RecvError::Closed) => return Ok(()),
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`RecvError::Timeout`]: no event came in time.
    /// - [`RecvError::Closed`]: the agent was closed.
    /// - [`RecvError::Failed`]: the agent ended with an error. Returned once.
    pub fn recv_timeout(&self, limit: Duration) -> Result<Event, RecvError> {
        // A limit that is too large for the clock means no limit.
        self.acknowledge_questions();
        self.hand_out(self.recv(Some(deadline::after(limit))))
    }

    /// Takes an event if one is waiting. Returns at once.
    ///
    /// ```no_run
    /// # fn demo(agent: crustocean::Agent) {
    /// let events = agent.events();
    /// // What has come since it was asked last.
    /// while let Ok(event) = events.try_recv() {
    ///     println!("{event:?}");
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RecvError::Empty`] if no event is waiting; otherwise the errors of [`recv_timeout`](Events::recv_timeout).
    pub fn try_recv(&self) -> Result<Event, RecvError> {
        self.acknowledge_questions();
        self.hand_out(self.recv(Some(Instant::now()))).map_err(RecvError::at_once)
    }

    /// If the event is a question and the agent has a memory, records that this thread has taken the question.
    fn hand_out(&self, got: Result<Event, RecvError>) -> Result<Event, RecvError> {
        if let (Ok(Event::Message(message)), Some(memory)) = (&got, &self.agent.inner.memory)
            && self.listener.kind == Kind::Events
            && self.agent.decision(message) == Decision::Respond
            && !self.listener.has_mentions()
        {
            memory.hand_out(&message.id, false);
        }
        got
    }

    pub(crate) fn recv(&self, until: Option<Instant>) -> Result<Event, RecvError> {
        let agent = &self.agent;
        loop {
            if agent.inner.closing.is_stopped() {
                return Err(RecvError::Closed);
            }
            agent.start_room_tasks();
            agent.save_if_due();
            if let Some(event) = self.next_event(false) {
                return Ok(event);
            }
            // A thread that reads the socket does not notice that another loop has queued an event for this loop.
            let recheck = self.listener.is_shared().then(|| deadline::after(RECHECK_INTERVAL));
            let wake = earlier(earlier(until, agent.next_due()), recheck);
            let waiting = self.listener.signal.wait();
            let waited = agent.session().wait_for_items(wake, &|| self.listener.signal.has_some());
            drop(waiting);
            match waited {
                Waited::Items => {}
                Waited::Ended => {
                    agent.stop_following();
                    agent.inner.delivery.end();
                    agent.inner.save_memory();
                    return match self.next_event(true) {
                        Some(event) => Ok(event),
                        None if matches!(self.listener.kind, Kind::Subscription(_) | Kind::Commands(_)) => {
                            Err(RecvError::Closed)
                        }
                        None => {
                            Err(agent.session().take_failure().map_or(RecvError::Closed, RecvError::Failed))
                        }
                    };
                }
                Waited::Nothing if until.is_some_and(|until| until <= Instant::now()) => {
                    // Another thread may have queued an event meanwhile.
                    return self.next_event(false).ok_or(RecvError::Timeout);
                }
                Waited::Nothing => {}
            }
        }
    }

    /// The agent that these events belong to. `Agents` calls this.
    #[cfg(feature = "agents")]
    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Whether more events wait, and when the set must check the agent again at the latest. `Agents` calls this after
    /// it has tried to take an event.
    #[cfg(feature = "agents")]
    pub(crate) fn look_ahead(&self) -> (bool, Option<Instant>) {
        let agent = &self.agent;
        let has_more = self.listener.signal.has_some() || agent.session().has_more();
        (has_more, agent.next_due())
    }

    /// Registers a permanent waiter until the returned guard is dropped, so that other loops wake the set when they
    /// queue events for it. `Agents` calls this.
    #[cfg(feature = "agents")]
    pub(crate) fn always_waits(&self) -> AlwaysWaits {
        AlwaysWaits::new(&self.listener.signal)
    }

    /// Takes the next event. `ended`: the agent has ended.
    fn next_event(&self, ended: bool) -> Option<Event> {
        loop {
            let (event, others) = self.listener.take(&self.agent, ended);
            if others {
                self.agent.session().nudge_all();
            }
            let event = event?;
            if let Event::Lagged { missed } = event {
                note!(
                    self.agent.session().log(),
                    Warn,
                    "{missed} events were dropped: the loop that takes them is too slow"
                );
            }
            if event.room().is_none_or(|room| !self.agent.has_left(room)) {
                return Some(event);
            }
        }
    }
}

impl Agent {
    /// The time at which a thread that waits for events must check again.
    fn next_due(&self) -> Option<Instant> {
        [self.inner.delivery.deadline(), self.next_save()].into_iter().fold(self.next_room_check(), earlier)
    }
}

/// How often a waiting loop checks whether another loop has queued an event for it.
const RECHECK_INTERVAL: Duration = Duration::from_millis(500);

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        self.acknowledge_questions();
        match self.hand_out(self.recv(None)) {
            Ok(event) => Some(Ok(event)),
            Err(RecvError::Failed(error)) => Some(Err(error)),
            Err(RecvError::Closed | RecvError::Timeout | RecvError::Empty) => None,
        }
    }
}

/// The earlier of two optional times.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// After the end, `next` always returns `None`.
impl std::iter::FusedIterator for Events {}

/// Why [`Events::recv_timeout`] or [`Events::try_recv`] returned no event.
///
/// ```no_run
/// use std::time::Duration;
/// use crustocean::agent::RecvError;
///
/// # fn demo(agent: &crustocean::Agent) {
/// match agent.events().recv_timeout(Duration::from_secs(1)) {
///     Ok(event) => println!("{event:?}"),
///     Err(RecvError::Timeout) => println!("nothing happened"),
///     Err(error) => println!("the agent has ended: {error}"),
/// }
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// No event came in time.
    Timeout,
    /// No event is waiting. Only from `try_recv`.
    Empty,
    /// The agent was closed. No more events will come.
    Closed,
    /// The agent ended with this error. Returned once; later calls return [`Closed`](RecvError::Closed).
    Failed(Error),
}

impl RecvError {
    /// The same error for a call that did not wait.
    pub(crate) fn at_once(self) -> Self {
        if matches!(self, RecvError::Timeout) { RecvError::Empty } else { self }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Timeout => f.write_str("no event came in time"),
            RecvError::Empty => f.write_str("no event is waiting"),
            RecvError::Closed => f.write_str("the agent is closed"),
            RecvError::Failed(error) => write!(f, "the agent has ended: {error}"),
        }
    }
}

impl std::error::Error for RecvError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RecvError::Failed(error) => std::error::Error::source(error),
            RecvError::Timeout | RecvError::Empty | RecvError::Closed => None,
        }
    }
}

impl From<RecvError> for Error {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Timeout => Error::new(ErrorKind::Timeout, "no event came in time"),
            RecvError::Empty => Error::new(ErrorKind::Timeout, "no event is waiting"),
            RecvError::Closed => Error::closed(),
            RecvError::Failed(error) => error,
        }
    }
}
