//! The loop over what the agent is asked.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::events::earlier;
use crate::agent::respond::rate_limit::{ExchangeLimit, Exchanges};
use crate::agent::{Agent, Decision, Event, Events, RecvError};
use crate::deadline;
use crate::error::Result;
use crate::model::{Message, MessageId};

/// The messages that are for an [`Agent`] to answer, each once. From [`Agent::mentions`].
///
/// They are those that [`should_respond`](Agent::should_respond) says yes to: the agent is mentioned or it is a direct
/// message; neither its own words nor the platform's; the loop guard allows one more hop. What was missed while the
/// connection was down is among them, and so are posts of hooks. A message that mentions the agent only since it was
/// edited is not.
///
/// All other events are dropped. Who needs both takes [`Agent::events`] and asks `should_respond`; an agent that is to
/// be in new rooms all the same [follows](Agent::follow_invites) its invitations.
///
/// It ends as [`Events`] does, and several threads may share it: each clone takes from the same messages.
///
/// ```no_run
/// # fn main() -> crustocean::Result<()> {
/// let agent = crustocean::Agent::from_env()?;
/// agent.join("lobby")?;
/// for question in agent.mentions() {
///     if let Err(error) = agent.reply(&question?, "42") {
///         eprintln!("not answered: {error}"); // and the bot goes on
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "messages come only to those who ask for them"]
pub struct Mentions {
    agent: Agent,
    events: Events,
    system: bool,
    desk: Arc<Mutex<Desk>>,
}

/// What the clones share.
#[derive(Debug, Default)]
struct Desk {
    handed_out: HashSet<MessageId>,
    /// The same, oldest first.
    order: VecDeque<MessageId>,
    exchanges: Option<Exchanges>,
}

/// A message that comes again after this many others is not the same story any more.
const REMEMBERED: usize = 1024;
/// A thread that sleeps does not hear that another one has put a message aside: it looks this often.
const GLANCE: Duration = Duration::from_millis(500);
/// How many events are looked through after the time is up, if they are there already. As many as the queue holds.
const MOST_AT_ONCE: usize = 4096;

impl Mentions {
    pub(crate) fn new(agent: Agent) -> Self {
        let events = agent.events();
        Mentions { agent, events, system: false, desk: Arc::default() }
    }

    /// Answers other agents only so often and so fast. A message that has to wait for its time holds up nothing else:
    /// it comes when it is due, after others that came later.
    ///
    /// Without it the [loop guard](crate::model::LoopGuard) alone keeps two agents from talking for ever.
    pub fn limited(self, limit: ExchangeLimit) -> Self {
        self.desk().exchanges = Some(Exchanges::new(limit));
        self
    }

    /// Whether the platform's own words that mention the agent come, too, such as results of commands. Defaults to
    /// false: of these only heartbeats come.
    pub fn system(mut self, on: bool) -> Self {
        self.system = on;
        self
    }

    /// Waits at most `limit` for the next message.
    ///
    /// # Errors
    /// As [`Events::recv_timeout`].
    pub fn recv_timeout(&self, limit: Duration) -> Result<Message, RecvError> {
        self.recv(Some(deadline::after(limit)))
    }

    /// Takes a message if one is waiting, and returns at once.
    ///
    /// # Errors
    /// As [`Events::try_recv`].
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        self.recv(Some(Instant::now())).map_err(RecvError::at_once)
    }

    fn recv(&self, until: Option<Instant>) -> Result<Message, RecvError> {
        let mut patience = MOST_AT_ONCE;
        loop {
            let now = Instant::now();
            if !self.agent.inner.closing.is_stopped()
                && let Some(message) = self.take_due(now)
            {
                return Ok(message);
            }
            let is_late = until.is_some_and(|until| until <= now);
            if is_late {
                patience = patience.saturating_sub(1);
            }
            let wake = earlier(until, self.look_up(now));
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
            if patience == 0 {
                return Err(RecvError::Timeout);
            }
        }
    }

    /// The message, or another one that was put aside, if there is something to answer now.
    fn consider(&self, message: Message) -> Option<Message> {
        match self.agent.decide(&message) {
            Decision::Respond => {}
            Decision::FromSystem if self.system => {}
            _ => return None,
        }
        let mut desk = self.desk();
        if !desk.note(&message.id) {
            return None;
        }
        match &mut desk.exchanges {
            Some(exchanges) if message.is_from_agent() => exchanges.admit(message, Instant::now()),
            _ => Some(message),
        }
    }

    fn take_due(&self, now: Instant) -> Option<Message> {
        let mut desk = self.desk();
        let exchanges = desk.exchanges.as_mut()?;
        while let Some(message) = exchanges.take_due(now) {
            if !self.agent.has_left(&message.agency_id) {
                return Some(message);
            }
        }
        None
    }

    /// When a thread that waits has to look at what was put aside.
    fn look_up(&self, now: Instant) -> Option<Instant> {
        let due = self.desk().exchanges.as_ref().map(Exchanges::next_due)?;
        let glance = (Arc::strong_count(&self.desk) > 1).then(|| now + GLANCE);
        earlier(due, glance)
    }

    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// False if it was handed out before.
    fn note(&mut self, id: &MessageId) -> bool {
        if !self.handed_out.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id.clone());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.handed_out.remove(&oldest);
        }
        true
    }
}

impl Iterator for Mentions {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.recv(None) {
            Ok(message) => Some(Ok(message)),
            Err(RecvError::Failed(error)) => Some(Err(error)),
            Err(RecvError::Closed | RecvError::Timeout | RecvError::Empty) => None,
        }
    }
}

/// The end stays the end.
impl std::iter::FusedIterator for Mentions {}
