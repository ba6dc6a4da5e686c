//! The loop over what happens.

use std::fmt;
use std::time::{Duration, Instant};

use crate::agent::Agent;
use crate::agent::event::Event;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::Next;

/// The events of an [`Agent`], in order. From [`Agent::events`].
///
/// As an iterator it blocks for the next event; `None` is the end: the agent was closed. An `Err` comes at most once,
/// as the last item, when the agent has ended for another reason (its token is dead, say); of several loops one gets it,
/// and all end. So `event?` in a loop is right: a lost connection is no error, it comes back by itself.
///
/// It keeps the agent alive, like any other of its handles.
///
/// # Slow handlers
/// The body of the loop may take as long as it likes: heartbeats are answered all the while, and what happens
/// meanwhile waits in a queue (4,096 events or 32 MiB; then the oldest go, and [`Event::Lagged`] stands in their
/// place). Events behind it wait, though. Several threads may each call [`Agent::events`] and iterate: every event goes
/// to exactly one of them.
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
}

impl Events {
    pub(crate) fn new(agent: Agent) -> Self {
        Events { agent }
    }

    /// Waits at most `limit` for the next event. While missed messages are fetched from the rooms' history, which
    /// happens on the thread of whoever asks, it may take longer.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] if none came, [`RecvError::Closed`] after the agent was closed, and once
    /// [`RecvError::Failed`] if it ended by itself.
    #[inline]
    pub fn recv_timeout(&self, limit: Duration) -> Result<Event, RecvError> {
        // A limit too large for the clock is no limit.
        self.recv(Some(deadline::after(limit)))
    }

    /// Takes an event if one is waiting, and returns at once.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] if there is none, otherwise as [`recv_timeout`](Events::recv_timeout).
    #[inline]
    pub fn try_recv(&self) -> Result<Event, RecvError> {
        self.recv(Some(Instant::now()))
    }

    #[inline]
    pub(crate) fn recv(&self, until: Option<Instant>) -> Result<Event, RecvError> {
        let mut in_time = true;
        match self.advance(until, &mut in_time) {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(RecvError::Failed(error)),
            None if in_time => Err(RecvError::Closed),
            None => Err(RecvError::Timeout),
        }
    }

    /// The next event, in the form that the iterator gives away: to change it costs a copy. `None` is the end, unless
    /// it was not `in_time`.
    #[inline]
    fn advance(&self, until: Option<Instant>, in_time: &mut bool) -> Option<Result<Event>> {
        let agent = &self.agent;
        let mut place = None;
        loop {
            agent.run_errands();
            agent.next_event(None, &mut place);
            if let Some(event) = &place {
                agent.attend_to(event);
                return place.map(Ok);
            }
            let look_up = agent.next_errand();
            match agent.session().next(earlier(until, look_up)) {
                Next::Item(taken) => {
                    if Agent::is_gap(&taken.item) {
                        agent.look_for_rooms();
                    }
                    agent.next_event(Some(taken), &mut place);
                    if let Some(event) = &place {
                        agent.attend_to(event);
                        return place.map(Ok);
                    }
                }
                Next::Failed(error) => return Some(Err(error)),
                Next::Closed => return None,
                Next::Nothing if until.is_some_and(|until| until <= Instant::now()) => {
                    *in_time = false;
                    return None;
                }
                Next::Nothing => {}
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance(None, &mut true)
    }
}

/// The earlier of two times, where there are any.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The end stays the end.
impl std::iter::FusedIterator for Events {}

/// Why [`Events::recv_timeout`] and [`Events::try_recv`] have no event.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// None came in time.
    Timeout,
    /// The agent was closed: nothing more comes.
    Closed,
    /// The agent has ended for this reason. Comes once; after it, [`Closed`](RecvError::Closed).
    Failed(Error),
}

impl fmt::Display for RecvError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Timeout => f.write_str("no event came in time"),
            RecvError::Closed => f.write_str("the agent is closed"),
            RecvError::Failed(error) => write!(f, "the agent has ended: {error}"),
        }
    }
}

impl std::error::Error for RecvError {
    #[inline]
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RecvError::Failed(error) => std::error::Error::source(error),
            RecvError::Timeout | RecvError::Closed => None,
        }
    }
}

impl From<RecvError> for Error {
    #[inline]
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Timeout => Error::new(ErrorKind::Timeout, "no event came in time"),
            RecvError::Closed => Error::closed(),
            RecvError::Failed(error) => error,
        }
    }
}
