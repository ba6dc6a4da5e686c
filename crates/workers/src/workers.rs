//! Reads questions from Redis, calls the handler, and posts the answers.

mod permits;
mod task;

use std::fmt;
use std::time::Duration;

use crustocean::agent::AgentBuilder;
use crustocean::{Agent, Message, Stop};

pub use task::Task;

use crate::answer::{Answer, HandedOver};
use crate::answer_sender::{AnswerSender, NotSent};
use crate::backoff::Backoff;
use crate::balance::Balance;
use crate::connect::{self, Connect};
use crate::connection::RedisConnection;
use crate::consumer::{Consumer, Entry, HandOver, Outcome, RetryPolicy, Source};
use crate::error::{Error, Result};
use crate::keys::AgentKeys;
use crate::lease::{Term, process_name, usable_ttl};
use crate::store::Store;
use crate::user_code::caught;
use permits::Permits;

/// The error type of handlers.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// How answers get into the rooms.
#[non_exhaustive]
pub enum Output {
    /// Through the worker's own connection. On Crustocean one agent may have several connections.
    Direct(Box<dyn Fn(AgentBuilder) -> crustocean::Result<Agent> + Send + Sync>),
    /// Through the intake that holds the agent's connection. The worker needs neither a connection nor the token. Its
    /// handler gets no room, so it cannot start runs.
    ThroughHolder,
}

impl Output {
    /// [`Direct`](Output::Direct), where `connect` connects the agent.
    pub fn direct(
        connect: impl Fn(AgentBuilder) -> crustocean::Result<Agent> + Send + Sync + 'static,
    ) -> Self {
        Output::Direct(Box::new(connect))
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Output::Direct(_) => "Direct",
            Output::ThroughHolder => "ThroughHolder",
        })
    }
}

/// Answers an agent's questions, together with the workers in other processes.
///
/// Each shard belongs to one process at a time, by a lease. This process handles the shard's questions one after the
/// other, so they keep their order within a room. When a process dies, its leases end and other processes take over its
/// shards. They handle its unfinished questions again, except those with an answer in the room.
///
/// ```no_run
/// use crustocean_workers::{Stop, Store, Workers};
///
/// # fn main() -> crustocean_workers::Result<()> {
/// let stop = Stop::new();
/// Workers::new(&Store::from_env()?, "larry")?.run(&stop, |task| {
///     let question = task.message();
///     Ok(format!("{} characters", question.content.len()))
/// })?;
/// # Ok(()) }
/// ```
pub struct Workers {
    store: Store,
    keys: AgentKeys,
    agent: String,
    output: Option<Connect>,
    name: String,
    ttl: Duration,
    concurrency: usize,
    policy: RetryPolicy,
}

impl Workers {
    /// The workers of an agent. `agent` is the name that its [`Intake`](crate::Intake) has.
    ///
    /// # Errors
    /// The kinds of [`Intake::new`](crate::Intake::new).
    pub fn new(store: &Store, agent: &str) -> Result<Self> {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        Ok(Workers {
            store: store.clone(),
            keys: AgentKeys::new(store.key_prefix(), agent)?,
            agent: agent.to_owned(),
            output: Some(connect::from_env()),
            name: process_name(),
            ttl: Duration::from_secs(10),
            concurrency: usize::MAX,
            policy: RetryPolicy { deliveries: 5, backoff, max_dead_letters: 100_000 },
        })
    }

    /// Sets how answers get into the rooms. Defaults to [`Output::Direct`] with the token and the URL from the environment.
    pub fn output(mut self, output: Output) -> Self {
        self.output = match output {
            Output::Direct(connect) => Some(connect.into()),
            Output::ThroughHolder => None,
        };
        self
    }

    /// Sets this process's name. No two processes may have the same one. Defaults to the host name and the process id.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the length of a term of a shard's lease. A process that has not registered for this long counts as failed.
    /// Defaults to 10 s; from 100 ms to 1 h.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = usable_ttl(ttl);
        self
    }

    /// Sets how many handlers run at the same time in this process. Defaults to one for each shard that it owns.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers.max(1);
        self
    }

    /// Sets after how many failed deliveries a question becomes a dead letter. Defaults to 5.
    pub fn deliveries(mut self, count: u64) -> Self {
        self.policy.deliveries = count.max(1);
        self
    }

    /// Sets the pause after a question's first failure, and the longest pause. The pause doubles after each failure. Other
    /// rooms are not delayed. Defaults to 1 s and 60 s.
    pub fn retry(mut self, first: Duration, longest: Duration) -> Self {
        self.policy.backoff = Backoff::new(first, longest);
        self
    }

    /// Handles questions until `stop` is stopped, then waits for the running handlers.
    ///
    /// Calls the handler on several threads. When the handler fails or panics on the last delivery, a dead letter shows
    /// the message as its reason.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the server answers in a way that Redis 7 does not. The call retries all
    /// other errors, also a wrong password.
    pub fn run<A: Into<Answer>>(
        &self,
        stop: &Stop,
        handler: impl Fn(&Task<'_>) -> Result<A, HandlerError> + Sync,
    ) -> Result<()> {
        let Some(shards) = self.wait_for_shards(stop)? else { return Ok(()) };
        let leases = (0..shards)
            .map(|shard| self.store.lease_at(shard.to_string(), self.keys.shard(shard)))
            .map(|lease| lease.ttl(self.ttl).owner(&self.name))
            .collect::<Vec<_>>();
        let sender = self.output.clone().map(|connect| AnswerSender::new(connect, self.ttl / 4));
        let permits = Permits::new(self.concurrency);
        let handler = |task: &Task<'_>| handler(task).map(Into::into);
        let balance =
            Balance { store: &self.store, members: self.keys.members(), name: &self.name, ttl: self.ttl };
        balance.run(
            stop,
            || Ok(leases.clone()),
            |term, shard| {
                let shard = shard.parse().map_err(|_| Error::unexpected())?;
                self.work(
                    term,
                    shard,
                    &Shared { sender: sender.as_ref(), permits: &permits, handler: &handler },
                )
            },
        )
    }

    /// Waits until an intake has stored the number of shards.
    fn wait_for_shards(&self, stop: &Stop) -> Result<Option<usize>> {
        let (key, mut redis, mut logged) = (self.keys.shards(), self.store.connection(), false);
        while !stop.is_stopped() {
            match redis.run(|connection| redis::cmd("GET").arg(&key).query::<Option<usize>>(connection)) {
                Ok(Some(shards)) => return Ok(Some(shards.max(1))),
                Ok(None) if !logged => {
                    logged = true;
                    crate::logging::record!(Info, "waiting for an intake of {:?}", self.agent);
                }
                Ok(None) => {}
                Err(error) if error.is_retryable() => {
                    crate::logging::record!(Warn, "waiting for Redis: {error}")
                }
                Err(error) => return Err(error),
            }
            stop.wait(Duration::from_millis(100));
        }
        Ok(None)
    }

    fn work(&self, term: &Term, shard: usize, shared: &Shared<'_>) -> Result<()> {
        let stream = self.keys.questions(shard);
        let source = Source {
            restart: self.keys.restart(&stream),
            answers: self.keys.answers(),
            dead: self.keys.dead(),
            stream,
        };
        let mut redis = self.store.connection();
        Consumer::new(&self.store, term, source, self.policy).run(|entry| {
            let question = match serde_json::from_str::<Message>(&entry.message) {
                Ok(question) => question,
                Err(error) => return Outcome::Permanent(format!("the entry is not a message: {error}")),
            };
            match shared.answer(term, &mut redis, entry, question) {
                Ok(answer) => Outcome::Done(answer),
                Err(NotSent::TermEnded) => Outcome::TermEnded,
                Err(NotSent::Failed(reason)) => Outcome::Failed(reason),
            }
        })
    }
}

/// The parts that the threads of a process share.
struct Shared<'w> {
    sender: Option<&'w AnswerSender>,
    permits: &'w Permits,
    handler: &'w (dyn Fn(&Task<'_>) -> Result<Answer, HandlerError> + Sync),
}

impl Shared<'_> {
    fn answer(
        &self,
        term: &Term,
        redis: &mut RedisConnection,
        entry: &Entry,
        question: Message,
    ) -> Result<Option<HandOver>, NotSent> {
        let _permit = self.permits.take(term).ok_or(NotSent::TermEnded)?;
        let room = self.sender.map(|sender| sender.room(term, &question)).transpose()?;
        if let (Some(sender), Some(room)) = (self.sender, &room)
            && entry.maybe_answered
            && sender.is_answered(term, room, &question)?
        {
            return Ok(None);
        }
        let task = Task::new(&question, room, entry.delivery, term);
        // The error's `Display` is the program's code, too, so call it inside `caught`.
        let answer = caught(|| (self.handler)(&task).map_err(|error| error.to_string()))
            .unwrap_or_else(|panic| Err(format!("the handler panicked: {panic}")))
            .map_err(NotSent::Failed)?;
        if !term.is_held() {
            return Err(NotSent::TermEnded);
        }
        match (self.sender, answer.outgoing(&question)) {
            (_, None) => Ok(None),
            (Some(sender), Some(outgoing)) => sender.post(term, redis, &question, &outgoing).map(|()| None),
            (None, Some(_)) => {
                let id = question.id.as_str().to_owned();
                let json = serde_json::to_string(&HandedOver { question, answer });
                let json = json.map_err(|error| {
                    NotSent::Failed(format!("the answer cannot be written as JSON: {error}"))
                })?;
                Ok(Some(HandOver { question: id, json }))
            }
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("agent", &self.agent)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
