//! The iterator over the messages to answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent::handle::AgentHandle;
use crate::agent::recent_ids::RecentIds;
use crate::agent::respond::answerable;
use crate::agent::respond::rate_limit::{Admitted, ExchangeLimit, Exchanges};
use crate::agent::{Decision, Event, Events, Mention, RecvError, questions};
use crate::deadline;
use crate::error::Result;
use crate::model::Message;
use crate::sync::lock::Mutex;

/// The messages that an [`Agent`](crate::Agent) should answer, each once. Returned by
/// [`Agent::mentions`](crate::Agent::mentions).
///
/// These are the messages for which [`should_respond`](crate::Agent::should_respond) is true. The iterator includes
/// messages that the agent missed while the connection was down, and posts of hooks. It does not include a message if
/// only an edit added the mention.
///
/// The iterator yields no other events. A loop over [`Agent::events`](crate::Agent::events) may run at the same time.
/// To join new rooms as well, call [`Agent::follow_invites`](crate::Agent::follow_invites) first.
///
/// The iterator ends like [`Events`]. Several threads may share the iterator: all clones take from the same queue.
///
/// ```no_run
/// # fn main() -> crustocean::Result<()> {
/// let agent = crustocean::Agent::from_env()?;
/// agent.join("lobby")?;
/// for question in agent.mentions() {
///     if let Err(error) = question?.reply("42") {
///         eprintln!("not answered: {error}"); // and the bot goes on
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing unless you take messages from it"]
pub struct Mentions {
    agent: AgentHandle,
    events: Events,
    system: bool,
    shared: Arc<Mutex<MentionsShared>>,
}

/// The state that all clones share.
#[derive(Debug, Default)]
struct MentionsShared {
    handed_out: RecentIds<1024>,
    exchanges: Option<Exchanges>,
    people: Option<Exchanges>,
}

/// A sleeping thread does not notice that another thread delayed a message, so the sleeping thread checks at this
/// interval.
const RECHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How many waiting events `recv_timeout` checks after the time limit: as many as the queue holds by default.
const MAX_AT_ONCE: usize = 4096;

impl Mentions {
    pub(crate) fn new(agent: &AgentHandle) -> Self {
        let events = Events::new(agent, agent.listeners.listen_to_mentions());
        Mentions { agent: agent.clone(), events, system: false, shared: Arc::default() }
    }

    /// Limits how often and how fast the agent answers other agents. A message that must wait does not block other
    /// messages. The iterator yields the waiting message after its delay, possibly after messages that arrived later.
    ///
    /// Without a limit, only the [loop guard](crate::model::LoopGuard) stops two agents from answering each other
    /// forever.
    ///
    /// ```no_run
    /// use crustocean::agent::ExchangeLimit;
    ///
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for msg in agent.mentions().limited(ExchangeLimit::default().count(3)) {
    ///     msg?.reply("hello").unwrap_or_else(|error| eprintln!("not answered: {error}"));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn limited(self, limit: ExchangeLimit) -> Self {
        self.shared.lock().exchanges = Some(Exchanges::new(limit));
        self
    }

    /// Also yields the platform's own messages that mention the agent, such as results of commands. Defaults to
    /// `false`: the iterator then yields no messages of the platform except heartbeats.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for msg in agent.mentions().system(true) {
    ///     let msg = msg?;
    ///     println!("{}: {}", msg.kind.as_str(), msg.content);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn system(mut self, on: bool) -> Self {
        self.system = on;
        self
    }

    /// Sets the minimum time between two messages of one person, in all rooms together. The longest possible time is
    /// one day. Messages that come faster wait, in order. Waiting messages do not block messages of other people, and
    /// the iterator drops no message. Agents have [their own limit](Mentions::limited). Defaults to no minimum time.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for mention in agent.mentions().cooldown(Duration::from_secs(5)) {
    ///     mention?.reply("42").unwrap_or_else(|error| eprintln!("not answered: {error}"));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn cooldown(self, time: Duration) -> Self {
        self.shared.lock().people = Some(Exchanges::new(ExchangeLimit::spaced(time)));
        self
    }

    /// Waits at most `limit` for the next message.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use crustocean::agent::RecvError;
    ///
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// match agent.mentions().recv_timeout(Duration::from_secs(60)) {
    ///     Ok(msg) => agent.reply(&msg, "hello")?,
    ///     Err(RecvError::Failed(error)) => return Err(error),
    ///     Err(_) => println!("no question in a minute"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`RecvError::Timeout`]: no message came within `limit`.
    /// - [`RecvError::Closed`]: the agent was closed.
    /// - [`RecvError::Failed`]: the agent ended with an error. Returned once.
    pub fn recv_timeout(&self, limit: Duration) -> Result<Mention, RecvError> {
        self.recv(Some(deadline::after(limit)))
    }

    /// Takes a message if one is waiting. Returns at once.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let mentions = agent.mentions();
    /// while let Ok(msg) = mentions.try_recv() {
    ///     agent.reply(&msg, "hello")?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`RecvError::Empty`] if no message is waiting; [`RecvError::Closed`] or [`RecvError::Failed`] if the agent has
    /// ended.
    pub fn try_recv(&self) -> Result<Mention, RecvError> {
        self.recv(Some(Instant::now())).map_err(RecvError::at_once)
    }

    fn recv(&self, until: Option<Instant>) -> Result<Mention, RecvError> {
        // The question that this thread took before is done.
        questions::acknowledge_questions(&self.agent);
        Ok(Mention::new(&self.agent, self.next_message(until)?))
    }

    fn next_message(&self, until: Option<Instant>) -> Result<Message, RecvError> {
        let mut checks_left = MAX_AT_ONCE;
        loop {
            let now = Instant::now();
            if !self.agent.closing.is_stopped()
                && let Some(message) = self.take_due(now)
            {
                return Ok(message);
            }
            let is_late = until.is_some_and(|until| until <= now);
            if is_late {
                checks_left = checks_left.saturating_sub(1);
            }
            let wake = deadline::earliest([until, self.next_check(now)]);
            match self.events.recv(wake) {
                Ok(Event::Message(message)) => {
                    if let Some(message) = self.consider(message) {
                        return Ok(message);
                    }
                }
                Ok(_) => {}
                Err(RecvError::Timeout) if is_late => return Err(RecvError::Timeout),
                Err(RecvError::Timeout) => {}
                Err(end) => return Err(end),
            }
            if checks_left == 0 {
                return Err(RecvError::Timeout);
            }
        }
    }

    /// Returns a message to answer now, if any: this message, or a delayed one.
    fn consider(&self, message: Message) -> Option<Message> {
        match answerable::decide(&self.agent, &message) {
            Decision::Respond => {}
            Decision::FromSystem if self.system => {}
            _ => return None,
        }
        let mut shared = self.shared.lock();
        if !shared.handed_out.add(&message.id) {
            return None;
        }
        let limit = if message.is_from_agent() { &mut shared.exchanges } else { &mut shared.people };
        let Some(exchanges) = limit else { return Some(message) };
        match exchanges.admit(message, Instant::now()) {
            Admitted::Now(message) => Some(message),
            Admitted::Later => None,
            Admitted::Never(message) => {
                drop(shared);
                questions::drop_question(&self.agent, &message.id);
                None
            }
        }
    }

    fn take_due(&self, now: Instant) -> Option<Message> {
        let mut shared = self.shared.lock();
        loop {
            let MentionsShared { exchanges, people, .. } = &mut *shared;
            let due = [exchanges, people].into_iter().flatten().find_map(|waiting| waiting.take_due(now))?;
            if !self.agent.has_left(&due.agency_id) {
                return Some(due);
            }
        }
    }

    /// The time at which a waiting thread must check the delayed messages.
    fn next_check(&self, now: Instant) -> Option<Instant> {
        let due = {
            let shared = self.shared.lock();
            if shared.exchanges.is_none() && shared.people.is_none() {
                return None;
            }
            let next = |waiting: &Option<Exchanges>| waiting.as_ref().and_then(Exchanges::next_due);
            deadline::earliest([next(&shared.exchanges), next(&shared.people)])
        };
        let recheck = (Arc::strong_count(&self.shared) > 1).then(|| now + RECHECK_INTERVAL);
        deadline::earliest([due, recheck])
    }

    pub(super) fn agent(&self) -> &AgentHandle {
        &self.agent
    }
}

impl Iterator for Mentions {
    type Item = Result<Mention>;

    fn next(&mut self) -> Option<Self::Item> {
        RecvError::to_item(self.recv(None))
    }
}

/// After the end, `next` returns `None` forever.
impl std::iter::FusedIterator for Mentions {}
