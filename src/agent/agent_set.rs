//! Many agents in one loop.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::agent::handle::AgentHandle;
use crate::agent::listeners::WaitingGuard;
use crate::agent::{Agent, Event, Events, RecvError, close, questions};
use crate::deadline;
use crate::error::{Error, Result};
use crate::socket::{NextReady, SessionId, SessionSet};
use crate::stop::{OnStop, Stop};
use crate::sync::lock::Mutex;

/// Many agents of one program, with one loop over the events of all agents. Use it in a program that hosts hundreds of
/// agents.
///
/// A single [`Agent`] has a background thread, and its loop needs another thread. In a set, one thread reads for all
/// agents, and any number of threads may take the [`events`](AgentSet::events). While agents reconnect, up to 64 more
/// threads run.
///
/// Each agent stays an ordinary agent: it can [post](Agent::post), [join](Agent::join) and [close](Agent::close) as
/// always, inside the loop and elsewhere. Each agent has its own bounded queue and its own connection. An agent that
/// reconnects, closes or falls behind does not delay the other agents. An agent that can only use
/// [long-polling](crate::agent::Transport) keeps its own background thread.
///
/// `AgentSet` is a cheap handle (`Clone + Send + Sync`) and holds a handle of each agent. [`close`](AgentSet::close)
/// closes all agents. When the last handle of the set is dropped, the set drops its handles of the agents. An agent
/// that has another handle continues, with its own background thread. A loop over the events is a handle of the set,
/// too.
///
/// Needs the feature `agents`.
///
/// # Examples
///
/// ```no_run
/// use crustocean::{Agent, AgentSet, AgentToken, Event};
///
/// # fn main() -> crustocean::Result<()> {
/// # let tokens: Vec<AgentToken> = Vec::new();
/// let agents = AgentSet::new()?;
/// for token in tokens {
///     agents.add(Agent::connect_and_join(token, "lobby")?)?;
/// }
/// for (agent, event) in agents.events() {
///     match event {
///         Ok(Event::Message(msg)) if agent.should_respond(&msg) => {
///             if let Err(error) = agent.reply(&msg, "Hello from Rust!") {
///                 eprintln!("not answered: {error}");
///             }
///         }
///         Ok(_) => {}
///         // This agent has ended. The others go on.
///         Err(error) => eprintln!("@{} has ended: {error}", agent.user().username),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AgentSet {
    inner: Arc<AgentSetInner>,
}

struct AgentSetInner {
    members: Mutex<HashMap<SessionId, Arc<MemberAgent>>>,
    set: Arc<SessionSet>,
    /// Ends the loops when the `Stop` is stopped.
    _on_stop: Option<OnStop>,
}

struct MemberAgent {
    events: Events,
    /// The time at which the loop checks this agent without a new event.
    planned: Mutex<Option<Instant>>,
    _waiting: WaitingGuard,
}

/// The shortest time until the loop checks an agent again without a new event.
const MIN_PAUSE: Duration = Duration::from_millis(10);
/// The most agents that the set ends at the same time.
const AT_ONCE: usize = 64;

impl fmt::Debug for AgentSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentSet").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl AgentSet {
    /// Creates an empty set and starts its thread.
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// let agents = crustocean::AgentSet::new()?;
    /// agents.add(crustocean::Agent::from_env()?)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the system has no thread or no file descriptors left.
    pub fn new() -> Result<Self> {
        Self::start(None)
    }

    /// Creates an empty set whose loops end when `stop` is stopped. From then on, [`add`](AgentSet::add) fails. Give
    /// the same [`Stop`] to the agents' builders, so that the agents close, too.
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// use crustocean::{Agent, AgentSet, AgentToken, Stop};
    ///
    /// let stop = Stop::new();
    /// let agents = AgentSet::with_stop(&stop)?;
    /// agents.add(Agent::builder().stop(&stop).connect(AgentToken::from_env()?)?)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`new`](AgentSet::new).
    pub fn with_stop(stop: &Stop) -> Result<Self> {
        Self::start(Some(stop))
    }

    fn start(stop: Option<&Stop>) -> Result<Self> {
        let set = Arc::new(SessionSet::start()?);
        let on_stop = stop.map(|stop| {
            let set = Arc::clone(&set);
            stop.on_stop(move || set.end_waits())
        });
        Ok(AgentSet { inner: Arc::new(AgentSetInner { members: Mutex::default(), set, _on_stop: on_stop }) })
    }

    /// Adds a connected agent. From now on the set reads for the agent, and the set's loops yield the agent's events.
    /// Events that the agent's own loops have not taken yet come first.
    ///
    /// A loop over the agent's own [`events`](Agent::events) takes from the same queue: use only one of the two. The
    /// agent's [`subscribe`](Agent::subscribe) and [`mentions`](Agent::mentions) take no events away.
    ///
    /// ```no_run
    /// # fn demo(agents: crustocean::AgentSet, token: crustocean::AgentToken) -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::connect_and_join(token, "lobby")?;
    /// agents.add(agent.clone())?;
    /// agent.send("hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Invalid`](crate::ErrorKind::Invalid): the agent is in a set already.
    /// - [`Closed`](crate::ErrorKind::Closed): the agent has ended, or the set is closed or stopped.
    pub fn add(&self, agent: Agent) -> Result<()> {
        let (id, events) = (agent.handle.session.id(), Events::of(&agent.handle));
        let member =
            Arc::new(MemberAgent { _waiting: events.count_as_waiting(), events, planned: Mutex::new(None) });
        // Insert the member first, because the set may report its events at once.
        match self.inner.members.lock().entry(id) {
            Entry::Occupied(_) => return Err(Error::invalid("the agent is in this set already")),
            Entry::Vacant(place) => drop(place.insert(member)),
        }
        self.inner.set.add(&agent.handle.session).inspect_err(|_| drop(self.inner.take(id)))
    }

    /// Removes an agent from the set. The agent continues with its own background thread, as long as the program holds
    /// a handle of it. Returns `false` if the agent was not in the set; for example, because it has ended.
    ///
    /// ```no_run
    /// # fn demo(agents: crustocean::AgentSet, agent: crustocean::Agent) -> crustocean::Result<()> {
    /// agents.remove(&agent)?;
    /// agent.close()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if no thread can be started. Then the agent has ended.
    pub fn remove(&self, agent: &Agent) -> Result<bool> {
        if self.inner.take(agent.handle.session.id()).is_none() {
            return Ok(false);
        }
        self.inner.set.remove(&agent.handle.session)?;
        Ok(true)
    }

    /// The number of agents in the set. An agent that has ended stays in the set until a loop over
    /// [`events`](AgentSet::events) has seen its end.
    pub fn len(&self) -> usize {
        self.inner.members.lock().len()
    }

    /// Whether the set has no agents.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Handles of all agents in the set, in no particular order.
    pub fn all(&self) -> Vec<Agent> {
        self.inner.members.lock().values().map(|member| Agent::new(member.events.agent().clone())).collect()
    }

    /// The events of all agents, each with its agent. The events of one agent come in order. The loop takes one event
    /// of each agent in turn, so an agent with many events does not delay the others.
    ///
    /// Several threads may each run a loop: each event goes to exactly one of the loops.
    ///
    /// ```no_run
    /// # fn demo(agents: crustocean::AgentSet) {
    /// std::thread::scope(|scope| {
    ///     for _ in 0..4 {
    ///         scope.spawn(|| {
    ///             for (agent, event) in agents.events() {
    ///                 println!("@{}: {event:?}", agent.user().username);
    ///             }
    ///         });
    ///     }
    /// });
    /// # }
    /// ```
    pub fn events(&self) -> AgentSetEvents {
        AgentSetEvents { agents: self.clone(), last: Mutex::new(None) }
    }

    /// Closes all agents, up to 64 at the same time, and ends all loops over the set's events. From then on,
    /// [`add`](AgentSet::add) fails.
    ///
    /// # Errors
    /// The kinds of [`Agent::close`]: the first error of an agent. All agents are closed in any case.
    pub fn close(self) -> Result<()> {
        self.inner.set.end_waits();
        let outcome = Mutex::new(Ok(()));
        self.inner.end_all(&|member| {
            if let Err(error) = close::close(member.events.agent()) {
                let mut outcome = outcome.lock();
                if outcome.is_ok() {
                    *outcome = Err(error);
                }
            }
        });
        outcome.into_inner()
    }
}

impl AgentSetInner {
    /// Removes a member. The caller drops the member without the lock.
    fn take(&self, id: SessionId) -> Option<Arc<MemberAgent>> {
        self.members.lock().remove(&id)
    }

    /// Removes all agents and ends many of them at the same time, because each end takes a round trip to the server.
    fn end_all(&self, end: &(dyn Fn(Arc<MemberAgent>) + Sync)) {
        let members = std::mem::take(&mut *self.members.lock());
        let helpers = members.len().min(AT_ONCE).saturating_sub(1);
        let members = Mutex::new(members.into_values());
        let work = || {
            loop {
                let member = members.lock().next();
                let Some(member) = member else { return };
                end(member);
            }
        };
        thread::scope(|scope| {
            for _ in 0..helpers {
                let helper = thread::Builder::new().name("crustocean-close".to_owned());
                // If no more threads can be started, the running threads do the work.
                if helper.spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
    }
}

impl Drop for AgentSetInner {
    fn drop(&mut self) {
        // A forked child, and a thread that panics, must not wait for the server.
        if !self.set.is_foreign() && !thread::panicking() {
            self.end_all(&drop);
        }
    }
}

/// The events of all agents of a set, each with its agent. Returned by [`AgentSet::events`].
///
/// The iterator blocks until the next event. An `Err` reports that one agent has ended (for example, its token was
/// revoked). The `Err` comes once, as the last item of that agent, and the agent is then no longer in the set. An agent
/// that was closed leaves the set without an item.
///
/// `None` means that the set was [closed](AgentSet::close) or that its [`Stop`] was stopped. A loop over an empty set
/// waits, because the program may add agents.
///
/// ```no_run
/// # fn demo(agents: crustocean::AgentSet) {
/// for (agent, event) in agents.events() {
///     println!("@{}: {event:?}", agent.user().username);
/// }
/// # }
/// ```
#[must_use = "it does nothing unless you take events from it"]
#[derive(Debug)]
pub struct AgentSetEvents {
    agents: AgentSet,
    /// The agent of the last event, if that agent has a memory.
    last: Mutex<Option<AgentHandle>>,
}

impl Clone for AgentSetEvents {
    fn clone(&self) -> Self {
        self.agents.events()
    }
}

impl AgentSetEvents {
    /// Waits at most `limit` for the next event of any agent.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use crustocean::agent::RecvError;
    ///
    /// # fn demo(agents: crustocean::AgentSet) {
    /// let events = agents.events();
    /// loop {
    ///     match events.recv_timeout(Duration::from_secs(60)) {
    ///         Ok((agent, event)) => println!("@{}: {event:?}", agent.user().username),
    ///         Err(RecvError::Timeout) => println!("a quiet minute"),
    ///         Err(_) => return,
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RecvError::Timeout`]; [`RecvError::Closed`] if the set was closed or stopped.
    pub fn recv_timeout(&self, limit: Duration) -> Result<(Agent, Result<Event>), RecvError> {
        self.recv(Some(deadline::after(limit)))
    }

    /// Takes an event if one is waiting. Returns at once.
    ///
    /// # Errors
    /// [`RecvError::Empty`] if no event is waiting; otherwise the errors of
    /// [`recv_timeout`](AgentSetEvents::recv_timeout).
    pub fn try_recv(&self) -> Result<(Agent, Result<Event>), RecvError> {
        self.recv(Some(Instant::now())).map_err(RecvError::at_once)
    }

    fn recv(&self, until: Option<Instant>) -> Result<(Agent, Result<Event>), RecvError> {
        let inner = &self.agents.inner;
        if let Some(agent) = self.last.lock().take() {
            questions::acknowledge_questions(&agent);
        }
        loop {
            let id = match inner.set.next_ready(until) {
                NextReady::Session(id) => id,
                NextReady::TimedOut => return Err(RecvError::Timeout),
                NextReady::Closed => return Err(RecvError::Closed),
            };
            let Some(member) = inner.members.lock().get(&id).cloned() else { continue };
            let taken = member.events.try_recv();
            let agent = member.events.agent();
            match taken {
                Ok(event) => {
                    self.look_ahead(id, &member, true);
                    if agent.memory.is_some() {
                        *self.last.lock() = Some(agent.clone());
                    }
                    return Ok((Agent::new(agent.clone()), Ok(event)));
                }
                Err(RecvError::Empty | RecvError::Timeout) => self.look_ahead(id, &member, false),
                Err(RecvError::Closed) => drop(inner.take(id)),
                Err(RecvError::Failed(error)) => {
                    inner.take(id);
                    return Ok((Agent::new(agent.clone()), Err(error)));
                }
            }
        }
    }

    /// Queues the agent again if it has more events, and schedules its next check. `took`: the loop has just taken an
    /// event. Otherwise the agent's events are not ready yet, and the thread that makes them ready reports them.
    fn look_ahead(&self, id: SessionId, member: &MemberAgent, took: bool) {
        let set = &self.agents.inner.set;
        let (has_more, look_at) = member.events.look_ahead();
        if has_more && took {
            set.make_ready(id);
        }
        if let Some(at) = look_at {
            let mut planned = member.planned.lock();
            let now = Instant::now();
            // Work that is overdue is already in progress, so the next check can wait.
            let at = at.max(deadline::later(now, MIN_PAUSE));
            if planned.is_none_or(|planned| planned <= now || at < planned) {
                *planned = Some(at);
                set.look_at(id, at);
            }
        }
    }
}

impl Iterator for AgentSetEvents {
    type Item = (Agent, Result<Event>);

    fn next(&mut self) -> Option<Self::Item> {
        self.recv(None).ok()
    }
}

/// After the end, `next` always returns `None`.
impl std::iter::FusedIterator for AgentSetEvents {}
