//! From Redis to the handlers, and their answers to the rooms.

mod permits;
mod task;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crustocean::agent::AgentBuilder;
use crustocean::{Agent, Message, Stop};

pub use task::Task;

use crate::answer::Answer;
use crate::backoff::Backoff;
use crate::balance::Balance;
use crate::connect::{self, Connect};
use crate::consumer::{Consumer, Entry, HandOver, Outcome, RetryPolicy, Source};
use crate::error::{Error, Result};
use crate::intake::outbox::Handed;
use crate::keys::AgentKeys;
use crate::lease::{Lease, Term, process_name};
use crate::speaker::{Speaker, Unsaid};
use crate::store::{Link, Store};
use permits::Permits;

/// What a handler fails with.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// How answers get into the rooms.
#[non_exhaustive]
pub enum Output {
    /// Through a connection of the worker's own. On Crustocean one agent may have several.
    Direct(Box<dyn Fn(AgentBuilder) -> crustocean::Result<Agent> + Send + Sync>),
    /// Through the holder of the agent's connection: the worker needs none, nor the token. A handler has no room then,
    /// so it can start no runs.
    ThroughHolder,
}

impl Output {
    /// [`Direct`](Output::Direct), connected like this.
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

/// Answers an agent's questions in this process, together with all others that do.
///
/// Each shard belongs to one process at a time, by a lease. Its questions are handled one after the other, so the order
/// within a room holds; a process that dies is replaced when its leases end, and the question that it was at is handled
/// again, unless the room has the answer.
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
    /// The workers of an agent, by the name that its [`Intake`](crate::Intake) has.
    ///
    /// # Errors
    /// As [`Intake::new`](crate::Intake::new).
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
            policy: RetryPolicy { deliveries: 5, backoff, most_dead: 100_000 },
        })
    }

    /// How answers get into the rooms. Defaults to [`Output::Direct`] with the token and the URL of the environment.
    pub fn output(mut self, output: Output) -> Self {
        self.output = match output {
            Output::Direct(connect) => Some(connect.into()),
            Output::ThroughHolder => None,
        };
        self
    }

    /// This process's name, another one than all others have. Defaults to the machine's name and the number of the
    /// process.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How long a term of a shard's lease is, and how long a process counts that gives no sign of life. Defaults to 10 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How many handlers run at a time in this process. Defaults to one for each shard that it owns.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers.max(1);
        self
    }

    /// After how many deliveries a question that still fails becomes a dead letter. Defaults to 5.
    pub fn deliveries(mut self, most: u64) -> Self {
        self.policy.deliveries = most.max(1);
        self
    }

    /// The pause after the first failure of a question, and the longest one; it doubles in between. Other rooms go on
    /// meanwhile. Defaults to 1 s and 60 s.
    pub fn retry(mut self, first: Duration, most: Duration) -> Self {
        self.policy.backoff = Backoff::new(first, most);
        self
    }

    /// Handles questions until it is stopped. What is being handled then is finished first.
    ///
    /// The handler runs on several threads. What it fails with, or panics with, is the reason that a dead letter shows.
    ///
    /// # Errors
    /// When Redis refuses for a reason that waiting does not change.
    pub fn run<A: Into<Answer>>(
        &self,
        stop: &Stop,
        handler: impl Fn(&Task<'_>) -> Result<A, HandlerError> + Sync,
    ) -> Result<()> {
        let Some(shards) = self.wait_for_shards(stop)? else { return Ok(()) };
        let leases = (0..shards)
            .map(|shard| Lease::new(self.store.clone(), shard.to_string(), self.keys.shard(shard)))
            .map(|lease| lease.ttl(self.ttl).owner(&self.name))
            .collect::<Vec<_>>();
        let speaker = self.output.clone().map(|connect| Speaker::new(connect, self.ttl / 4));
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
                    &Shared { speaker: speaker.as_ref(), permits: &permits, handler: &handler },
                )
            },
        )
    }

    /// The intake decides how many there are.
    fn wait_for_shards(&self, stop: &Stop) -> Result<Option<usize>> {
        let (key, mut link, mut told) = (self.keys.shards(), self.store.link(), false);
        while !stop.is_stopped() {
            match link.run(|connection| redis::cmd("GET").arg(&key).query::<Option<usize>>(connection)) {
                Ok(Some(shards)) => return Ok(Some(shards.max(1))),
                Ok(None) if !told => {
                    told = true;
                    log::info!("waiting for an intake of {:?}", self.agent);
                }
                Ok(None) => {}
                Err(error) if error.is_retryable() => log::warn!("waiting for Redis: {error}"),
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
        let mut link = self.store.link();
        Consumer::new(&self.store, term, source, self.policy).run(|entry| {
            let question = match serde_json::from_str::<Message>(&entry.message) {
                Ok(question) => question,
                Err(error) => return Outcome::Hopeless(format!("this is no message: {error}")),
            };
            match shared.answer(term, &mut link, entry, question) {
                Ok(answer) => Outcome::Done(answer),
                Err(Unsaid::Left) => Outcome::Left,
                Err(Unsaid::Failed(reason)) => Outcome::Failed(reason),
            }
        })
    }
}

/// What the shards of a process share.
struct Shared<'w> {
    speaker: Option<&'w Speaker>,
    permits: &'w Permits,
    handler: &'w (dyn Fn(&Task<'_>) -> Result<Answer, HandlerError> + Sync),
}

impl Shared<'_> {
    fn answer(
        &self,
        term: &Term,
        link: &mut Link,
        entry: &Entry,
        question: Message,
    ) -> Result<Option<HandOver>, Unsaid> {
        let _permit = self.permits.take(term).ok_or(Unsaid::Left)?;
        let room = self.speaker.map(|speaker| speaker.room(term, &question)).transpose()?;
        if let (Some(speaker), Some(room)) = (self.speaker, &room)
            && entry.doubtful
            && speaker.is_answered(term, room, &question)?
        {
            return Ok(None);
        }
        let task = Task::new(&question, room, entry.delivery, term);
        let answer = match catch_unwind(AssertUnwindSafe(|| (self.handler)(&task))) {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Unsaid::Failed(error.to_string())),
            Err(panic) => return Err(Unsaid::Failed(format!("the handler panicked: {}", words_of(&*panic)))),
        };
        if !term.is_held() {
            return Err(Unsaid::Left);
        }
        match (self.speaker, answer.outgoing(&question)) {
            (_, None) => Ok(None),
            (Some(speaker), Some(outgoing)) => speaker.say(term, link, &question, &outgoing).map(|()| None),
            (None, Some(_)) => {
                let id = question.id.as_str().to_owned();
                let json = serde_json::to_string(&Handed { question, answer });
                let json =
                    json.map_err(|error| Unsaid::Failed(format!("an answer that is no JSON: {error}")))?;
                Ok(Some(HandOver { question: id, json }))
            }
        }
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("agent", &self.agent)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
