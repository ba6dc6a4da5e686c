//! Many agents in one loop.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::agent::listeners::AlwaysWaits;
use crate::agent::{Agent, Event, Events, RecvError};
use crate::deadline;
use crate::error::{Error, Result};
use crate::net::Cancel;
use crate::socket::{NextReady, SessionId, SessionSet};
use crate::stop::Stop;

/// Many agents of one program, with one loop over all their events. For a program that hosts hundreds of them.
///
/// An [`Agent`] alone has a background thread, and its loop needs a thread. In a set, one thread reads for all agents, and
/// [`events`](Agents::events) may be taken by as many threads as the program wants. More threads run only while agents
/// reconnect, up to 64.
///
/// The agents stay ordinary agents: they can [post](Agent::post), [join](Agent::join) and [close](Agent::close) as always,
/// inside the loop and elsewhere. Each has its own bounded queue and its own connection. What one of them does (reconnect,
/// close, fall behind) does not hold up the others. An agent that can only use [long-polling](crate::agent::Transport) keeps
/// a thread of its own.
///
/// `Agents` is a cheap handle (`Clone + Send + Sync`) and holds a handle of each agent. [`close`](Agents::close) closes all
/// agents. Dropping the last handle (loops over the events are handles, too) drops the set's handles of its agents: an agent
/// with another handle goes on, with a background thread of its own.
///
/// Needs the feature `agents`.
///
/// # Examples
///
/// ```no_run
/// use crustocean::{Agent, AgentToken, Agents, Event};
///
/// # fn main() -> crustocean::Result<()> {
/// # let tokens: Vec<AgentToken> = Vec::new();
/// let agents = Agents::new()?;
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
pub struct Agents {
    inner: Arc<Inner>,
}

struct Inner {
    members: RwLock<HashMap<SessionId, Arc<Member>>>,
    set: Arc<SessionSet>,
    /// Ends the loops when its `Stop` is stopped. Registered as long as the set lives.
    _stop_target: Option<Arc<StopTarget>>,
}

struct Member {
    events: Events,
    /// When the loop looks at it otherwise.
    planned: Mutex<Option<Instant>>,
    _waits: AlwaysWaits,
}

struct StopTarget(Arc<SessionSet>);

impl Cancel for StopTarget {
    fn cancel(&self) {
        self.0.end_waits();
    }
}

/// The shortest time after which the loop looks at an agent again without a reason.
const SHORTEST: Duration = Duration::from_millis(10);
/// How many agents are ended at the same time.
const AT_ONCE: usize = 64;
/// Little: it runs only our own code, a few calls deep, besides TLS.
const STACK: usize = 256 << 10;

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agents").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Agents {
    /// An empty set. Starts its thread.
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// let agents = crustocean::Agents::new()?;
    /// agents.add(crustocean::Agent::from_env()?)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the system has no thread or no file descriptors left.
    pub fn new() -> Result<Self> {
        Self::start(None)
    }

    /// The same; its loops end when `stop` is stopped. Give the same [`Stop`] to the agents' builders, which close then.
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// use crustocean::{Agent, AgentToken, Agents, Stop};
    ///
    /// let stop = Stop::new();
    /// let agents = Agents::with_stop(&stop)?;
    /// agents.add(Agent::builder().stop(&stop).connect(AgentToken::from_env()?)?)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`new`](Agents::new).
    pub fn with_stop(stop: &Stop) -> Result<Self> {
        Self::start(Some(stop))
    }

    fn start(stop: Option<&Stop>) -> Result<Self> {
        let set = Arc::new(SessionSet::start()?);
        let stop_target = stop.map(|stop| {
            let target = Arc::new(StopTarget(Arc::clone(&set)));
            let weak: Arc<dyn Cancel> = target.clone();
            stop.add(Arc::downgrade(&weak));
            target
        });
        Ok(Agents { inner: Arc::new(Inner { members: RwLock::default(), set, _stop_target: stop_target }) })
    }

    /// Adds a connected agent: from now on the set reads for it, and its events come out of the set's loops. Events that
    /// no loop of its own has taken yet come first.
    ///
    /// The agent's own [`events`](Agent::events) take from the same queue: use one of the two. Its
    /// [`subscribe`](Agent::subscribe) and [`mentions`](Agent::mentions) take nothing away.
    ///
    /// ```no_run
    /// # fn demo(agents: crustocean::Agents, token: crustocean::AgentToken) -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::connect_and_join(token, "lobby")?;
    /// agents.add(agent.clone())?;
    /// agent.send("hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Invalid`](crate::ErrorKind::Invalid): the agent is in a set already.
    /// - [`Closed`](crate::ErrorKind::Closed): the agent has ended, or the set is closed.
    pub fn add(&self, agent: Agent) -> Result<()> {
        let (id, events) = (agent.session().id(), agent.events());
        let member = Arc::new(Member { _waits: events.always_waits(), events, planned: Mutex::new(None) });
        // First, because the set tells of its events at once.
        match self.inner.write().entry(id) {
            Entry::Occupied(_) => return Err(Error::invalid("the agent is in this set already")),
            Entry::Vacant(place) => drop(place.insert(member)),
        }
        self.inner.set.add(agent.session()).inspect_err(|_| drop(self.inner.take(id)))
    }

    /// Takes an agent out of the set. It goes on with a background thread of its own, as long as somebody holds a handle
    /// of it. Returns `false` if it was not in the set: for example, because it has ended.
    ///
    /// ```no_run
    /// # fn demo(agents: crustocean::Agents, agent: crustocean::Agent) -> crustocean::Result<()> {
    /// agents.remove(&agent)?;
    /// agent.close()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if no thread can be started. Then the agent has ended.
    pub fn remove(&self, agent: &Agent) -> Result<bool> {
        if self.inner.take(agent.session().id()).is_none() {
            return Ok(false);
        }
        self.inner.set.remove(agent.session())?;
        Ok(true)
    }

    /// The number of agents in the set. One that has ended is in it until a loop over [`events`](Agents::events) has seen
    /// its end.
    pub fn len(&self) -> usize {
        self.inner.read().len()
    }

    /// Whether there is no agent in the set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Handles of all agents in the set, in no particular order.
    pub fn all(&self) -> Vec<Agent> {
        self.inner.read().values().map(|member| member.events.agent().clone()).collect()
    }

    /// The events of all agents, each with its agent. Those of one agent come in order, and an agent with many events does
    /// not hold up the others: the loop takes one event of each in turn.
    ///
    /// All loops over the events of a set share them: each event goes to one of them. So several threads may each have a
    /// loop.
    ///
    /// ```no_run
    /// # fn demo(agents: crustocean::Agents) {
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
    pub fn events(&self) -> AgentsEvents {
        AgentsEvents { agents: self.clone(), last: Mutex::new(None) }
    }

    /// Closes all agents, up to 64 at the same time, and ends all loops over the set's events. Agents can no longer be
    /// added.
    ///
    /// # Errors
    /// The first error of [`Agent::close`]. All agents are closed all the same.
    pub fn close(self) -> Result<()> {
        self.inner.set.end_waits();
        let outcome = Mutex::new(Ok(()));
        self.inner.end_all(&|member| {
            if let Err(error) = member.events.agent().close_now() {
                let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                if outcome.is_ok() {
                    *outcome = Err(error);
                }
            }
        });
        outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn read(&self) -> RwLockReadGuard<'_, HashMap<SessionId, Arc<Member>>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<SessionId, Arc<Member>>> {
        self.members.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: SessionId) -> Option<Arc<Member>> {
        self.read().get(&id).cloned()
    }

    fn take(&self, id: SessionId) -> Option<Arc<Member>> {
        self.write().remove(&id)
    }

    /// Takes all agents out and ends them, many at the same time: an end takes a round trip to the server.
    fn end_all(&self, end: &(dyn Fn(Arc<Member>) + Sync)) {
        let members = std::mem::take(&mut *self.write());
        let helpers = members.len().min(AT_ONCE).saturating_sub(1);
        let members = Mutex::new(members.into_values());
        let work = || {
            loop {
                let member = members.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(member) = member else { return };
                end(member);
            }
        };
        thread::scope(|scope| {
            for _ in 0..helpers {
                let helper = thread::Builder::new().name("crustocean-close".to_owned()).stack_size(STACK);
                // Without helpers it takes longer.
                if helper.spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // In a forked child, and while a panic unwinds, nobody waits.
        if !self.set.is_foreign() && !thread::panicking() {
            self.end_all(&drop);
        }
    }
}

/// The events of all agents of a set, each with its agent. Returned by [`Agents::events`].
///
/// As an iterator it blocks until the next event. An `Err` is the end of one agent (its token was revoked, for example): it
/// comes once, as the last item of that agent, which then is no longer in the set. An agent that was closed leaves the set
/// without an item.
///
/// `None` is the end: the set was [closed](Agents::close), or its [`Stop`] was stopped. An empty set is no end, because agents
/// may be added.
///
/// ```no_run
/// # fn demo(agents: crustocean::Agents) {
/// for (agent, event) in agents.events() {
///     println!("@{}: {event:?}", agent.user().username);
/// }
/// # }
/// ```
#[must_use = "events come only to those who ask for them"]
pub struct AgentsEvents {
    agents: Agents,
    /// The agent that the last event was of, if it remembers which questions are done.
    last: Mutex<Option<Agent>>,
}

impl fmt::Debug for AgentsEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentsEvents").field("agents", &self.agents).finish_non_exhaustive()
    }
}

impl Clone for AgentsEvents {
    fn clone(&self) -> Self {
        self.agents.events()
    }
}

impl AgentsEvents {
    /// Waits at most `limit` for the next event of any agent.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use crustocean::agent::RecvError;
    ///
    /// # fn demo(agents: crustocean::Agents) {
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
    /// [`RecvError::Empty`] if no event is waiting; otherwise those of [`recv_timeout`](AgentsEvents::recv_timeout).
    pub fn try_recv(&self) -> Result<(Agent, Result<Event>), RecvError> {
        self.recv(Some(Instant::now())).map_err(RecvError::at_once)
    }

    fn recv(&self, until: Option<Instant>) -> Result<(Agent, Result<Event>), RecvError> {
        let inner = &self.agents.inner;
        if let Some(agent) = self.last().take() {
            agent.pass_questions();
        }
        loop {
            let id = match inner.set.next_ready(until) {
                NextReady::Session(id) => id,
                NextReady::TimedOut => return Err(RecvError::Timeout),
                NextReady::Closed => return Err(RecvError::Closed),
            };
            let Some(member) = inner.get(id) else { continue };
            let taken = member.events.try_recv();
            let agent = member.events.agent();
            match taken {
                Ok(event) => {
                    self.look_ahead(id, &member, true);
                    if agent.inner.memory.is_some() {
                        *self.last() = Some(agent.clone());
                    }
                    return Ok((agent.clone(), Ok(event)));
                }
                Err(RecvError::Empty | RecvError::Timeout) => self.look_ahead(id, &member, false),
                Err(RecvError::Closed) => drop(inner.take(id)),
                Err(RecvError::Failed(error)) => {
                    inner.take(id);
                    return Ok((agent.clone(), Err(error)));
                }
            }
        }
    }

    /// Puts an agent that has more at the end of the line, and plans when to look at it otherwise. `took`: something was
    /// taken. If not, what it has is not ready yet, and whoever makes it ready says so.
    fn look_ahead(&self, id: SessionId, member: &Member, took: bool) {
        let set = &self.agents.inner.set;
        let (has_more, look_at) = member.events.look_ahead();
        if has_more && took {
            set.make_ready(id);
        }
        if let Some(at) = look_at {
            let mut planned = member.planned.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            // What is late already is being worked on.
            let at = at.max(deadline::later(now, SHORTEST));
            if planned.is_none_or(|planned| planned <= now || at < planned) {
                *planned = Some(at);
                set.look_at(id, at);
            }
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Agent>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Iterator for AgentsEvents {
    type Item = (Agent, Result<Event>);

    fn next(&mut self) -> Option<Self::Item> {
        self.recv(None).ok()
    }
}

/// After the end, `next` returns `None` for ever.
impl std::iter::FusedIterator for AgentsEvents {}
