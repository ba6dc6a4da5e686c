//! The iterator over an agent's events.

use std::time::{Duration, Instant};

use crate::agent::event::Event;
use crate::agent::handle::AgentHandle;
use crate::agent::inner::AgentInner;
#[cfg(feature = "agents")]
use crate::agent::listeners::WaitingGuard;
use crate::agent::listeners::{Listener, ListenerKind};
use crate::agent::respond::{Decision, answerable};
use crate::agent::rooms::auto_join;
use crate::agent::{RecvError, questions};
use crate::deadline;
use crate::error::Result;
use crate::socket::{Waited, note};

/// The events of an [`Agent`](crate::Agent), in order. Returned by [`Agent::events`](crate::Agent::events).
///
/// The iterator blocks until the next event. `None` means that the agent was closed. An `Err` comes at most once, as
/// the last item, if the agent ended for another reason (for example, its token was revoked). If the agent has several
/// loops, one loop gets the error, and all loops end. So `event?` in a loop is correct: a lost connection is not an
/// error, because the agent reconnects.
///
/// `Events` is a handle of the agent and keeps the agent alive.
///
/// # Slow handlers
/// The body of the loop may take any time. Meanwhile the crate answers heartbeats, and events wait in a queue (4,096
/// events or 32 MiB by default). When the queue is full, the crate drops the oldest events, and [`Event::Lagged`] takes
/// their place. The crate reads the dropped messages from the rooms' histories and yields them next. Other dropped
/// events do not come again. Several threads may each call [`Agent::events`](crate::Agent::events) and iterate: each
/// event goes to exactly one thread.
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
#[must_use = "it does nothing unless you take events from it"]
pub struct Events {
    agent: AgentHandle,
    listener: Listener,
}

impl Events {
    pub(super) fn new(agent: &AgentHandle, listener: Listener) -> Self {
        Events { agent: agent.clone(), listener }
    }

    /// All events that no loop has taken yet, in the queue that all loops over `events()` share.
    pub(super) fn of(agent: &AgentHandle) -> Self {
        Events::new(agent, agent.listeners.listen_to_events())
    }

    /// The events from now on, in a queue of their own.
    pub(super) fn subscribe(agent: &AgentHandle) -> Self {
        let listener = agent.listeners.subscribe();
        if listener.begin_now(&**agent) {
            agent.session.wake_all();
        }
        Events::new(agent, listener)
    }

    /// Marks the questions that this thread has taken as done. Only a loop over `events()` does so here: a subscription
    /// hands out no questions.
    fn acknowledge_questions(&self) {
        if self.listener.kind == ListenerKind::Events {
            questions::acknowledge_questions(&self.agent);
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
        self.acknowledge_questions();
        self.hand_out(self.recv(Some(deadline::after(limit))))
    }

    /// Takes an event if one is waiting. Returns at once.
    ///
    /// ```no_run
    /// # fn demo(agent: crustocean::Agent) {
    /// let events = agent.events();
    /// // Handles all waiting events, without waiting for more.
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
        if let (Ok(Event::Message(message)), Some(memory)) = (&got, &self.agent.memory)
            && self.listener.kind == ListenerKind::Events
            && answerable::decide(&self.agent, message) == Decision::Respond
            && !self.listener.has_mentions()
        {
            memory.hand_out(&message.id, false);
        }
        got
    }

    pub(crate) fn recv(&self, until: Option<Instant>) -> Result<Event, RecvError> {
        let agent = &self.agent;
        loop {
            if agent.closing.is_stopped() {
                return Err(RecvError::Closed);
            }
            auto_join::start_room_tasks(agent);
            questions::save_if_due(agent);
            if let Some(event) = self.next_event(false) {
                return Ok(event);
            }
            // A thread that reads the socket does not notice that another loop has queued an event for this loop.
            let recheck = self.listener.is_shared().then(|| deadline::after(RECHECK_INTERVAL));
            let wake = deadline::earliest([until, next_due(agent), recheck]);
            let waiting = self.listener.signal.wait();
            let waited = agent.session.wait_for_items(wake, &|| self.listener.signal.has_some());
            drop(waiting);
            match waited {
                Waited::Items => {}
                Waited::Ended => {
                    auto_join::stop_following(agent);
                    agent.delivery.end();
                    questions::save_memory(agent);
                    return match self.next_event(true) {
                        Some(event) => Ok(event),
                        None if matches!(
                            self.listener.kind,
                            ListenerKind::Subscription(_) | ListenerKind::Commands(_)
                        ) =>
                        {
                            Err(RecvError::Closed)
                        }
                        None => {
                            Err(agent.session.take_failure().map_or(RecvError::Closed, RecvError::Failed))
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

    /// The agent that these events belong to. `AgentSet` calls this.
    #[cfg(feature = "agents")]
    pub(crate) fn agent(&self) -> &AgentHandle {
        &self.agent
    }

    /// Whether more events wait, and when the set must check the agent again at the latest. `AgentSet` calls this after
    /// it has tried to take an event.
    #[cfg(feature = "agents")]
    pub(crate) fn look_ahead(&self) -> (bool, Option<Instant>) {
        let agent = &self.agent;
        let has_more = self.listener.signal.has_some() || agent.session.has_more();
        (has_more, next_due(agent))
    }

    /// Registers a permanent waiter until the returned guard is dropped, so that other loops wake the set when they
    /// queue events for it. `AgentSet` calls this.
    #[cfg(feature = "agents")]
    pub(crate) fn count_as_waiting(&self) -> WaitingGuard {
        self.listener.signal.wait()
    }

    /// Takes the next event. `ended`: whether the agent has ended.
    fn next_event(&self, ended: bool) -> Option<Event> {
        loop {
            let (event, others) = self.listener.take(&*self.agent, ended);
            if others {
                self.agent.session.wake_all();
            }
            let event = event?;
            if let Event::Lagged { missed } = event {
                note!(
                    self.agent.session.log(),
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

/// The time at which a thread that waits for events must check again.
fn next_due(agent: &AgentInner) -> Option<Instant> {
    let (delivery, save) = (agent.delivery.deadline(), questions::next_save(agent));
    deadline::earliest([delivery, save, auto_join::next_room_check(agent)])
}

/// How often a waiting loop checks whether another loop has queued an event for it.
const RECHECK_INTERVAL: Duration = Duration::from_millis(500);

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        self.acknowledge_questions();
        RecvError::to_item(self.hand_out(self.recv(None)))
    }
}

/// After the end, `next` always returns `None`.
impl std::iter::FusedIterator for Events {}
