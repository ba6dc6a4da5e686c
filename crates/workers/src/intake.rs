//! Writes the questions that reach the agent's connection to Redis.

mod known;
mod outbox;
mod record;
mod room_history;
mod serving;
mod setup;

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crustocean::agent::AgentBuilder;
use crustocean::{Agent, Message, Stop};

use crate::connect;
use crate::error::{Error, Result};
use crate::keys::{AgentKeys, lease_name};
use crate::lease::{Term, TermEnd};
use crate::store::Store;
use known::Known;
use setup::Setup;

/// Holds an agent's connection and writes the questions that it receives to Redis, for [`Workers`](crate::Workers) to
/// answer.
///
/// Run an intake in as many processes as you like. The process that has the lease `agent:<name>` connects; the others
/// wait. A new holder reads every room's history from the point where the last holder stopped. Each question gets into
/// the stream of its room's shard once, because one script checks the lease and duplicates, and writes the stream and
/// the room's watermark.
///
/// ```no_run
/// use crustocean_workers::{Intake, Stop, Store};
///
/// # fn main() -> crustocean_workers::Result<()> {
/// let stop = Stop::new();
/// Intake::new(&Store::from_env()?, "larry")?.run(&stop)?; // AGENT_TOKEN, CRUSTOCEAN_API_URL
/// # Ok(()) }
/// ```
pub struct Intake(Setup);

impl Intake {
    /// The intake of an agent. `agent` names the agent in Redis; use its username.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name is empty, longer than 200 bytes, or has braces or control
    /// characters.
    pub fn new(store: &Store, agent: &str) -> Result<Self> {
        Ok(Intake(Setup {
            keys: AgentKeys::new(store.key_prefix(), agent)?,
            store: store.clone(),
            lease: store.lease(&lease_name(agent))?,
            connect: connect::from_env(),
            rooms: Arc::new(|agent| {
                agent.join_all()?;
                agent.join_dms()?;
                Ok(())
            }),
            filter: Arc::new(|agent, message| agent.should_respond(message)),
            shards: 16,
            max_waiting: 100_000,
            lookback: Duration::from_secs(60 * 60),
            known: Known::default(),
        }))
    }

    /// Sets how the agent connects. Defaults to the token and the URL from the environment, like [`Agent::from_env`].
    pub fn connect(
        mut self,
        connect: impl Fn(AgentBuilder) -> crustocean::Result<Agent> + Send + Sync + 'static,
    ) -> Self {
        self.0.connect = Arc::new(connect);
        self
    }

    /// Sets which rooms the agent joins. Defaults to all agencies that it is a member of, and its direct messages.
    pub fn rooms(mut self, join: impl Fn(&Agent) -> crustocean::Result<()> + Send + Sync + 'static) -> Self {
        self.0.rooms = Arc::new(join);
        self
    }

    /// Sets which messages are questions. Defaults to [`Agent::should_respond`].
    pub fn filter(mut self, filter: impl Fn(&Agent, &Message) -> bool + Send + Sync + 'static) -> Self {
        self.0.filter = Arc::new(filter);
        self
    }

    /// Sets the length of a term of the holder's lease. Defaults to 10 s; from 100 ms to 1 h.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.0.lease = self.0.lease.ttl(ttl);
        self
    }

    /// Sets the number of shards. A shard is a stream with the questions of some rooms. No more handlers than shards
    /// run at the same time. The first intake of an agent fixes the number. Defaults to 16; from 1 to 4,096.
    pub fn shards(mut self, shards: usize) -> Self {
        self.0.shards = shards.clamp(1, 4096);
        self
    }

    /// Sets how many questions of one shard may wait. When a shard is full, the intake waits, and reads on in the rooms'
    /// histories afterwards. Defaults to 100,000.
    pub fn max_waiting(mut self, questions: usize) -> Self {
        self.0.max_waiting = questions.max(1);
        self
    }

    /// Sets how far back the intake reads the rooms again when Redis has lost its data. Questions with an answer in
    /// their room get no second one. Defaults to 1 hour.
    ///
    /// An intake that was running during the loss knows the time from which on it serves each room, and reads no older
    /// messages. An intake that starts later finds this time by the agent's answers: if the agent has answered in a
    /// room before, the intake reads that room again, beginning with the oldest answered question that it finds.
    pub fn lookback(mut self, time: Duration) -> Self {
        self.0.lookback = time;
        self
    }

    /// Waits for the lease, writes questions to Redis while this process holds the lease, and starts again, until
    /// `stop` is stopped.
    ///
    /// # Errors
    /// - [`Platform`](crate::ErrorKind::Platform) with a permanent error of the platform, such as a revoked token.
    /// - [`Invalid`](crate::ErrorKind::Invalid) if Redis has another number of shards, if the closure that connects the
    ///   agent panics, or if the server answers in a way that Redis 7 does not.
    /// - [`System`](crate::ErrorKind::System) if the system starts no thread.
    ///
    /// The call retries all other errors, also a wrong password for Redis.
    pub fn run(&self, stop: &Stop) -> Result<()> {
        let ended = Stop::new();
        thread::scope(|scope| {
            // Stop the thread also when a closure of the user panics.
            let _end = StopWhenDropped(&ended);
            let reader = thread::Builder::new().spawn_scoped(scope, || self.0.read_origins(&ended));
            reader.map_err(Error::no_thread)?;
            self.run_terms(stop)
        })
    }

    fn run_terms(&self, stop: &Stop) -> Result<()> {
        for term in self.0.lease.terms(stop) {
            let term = term?;
            match self.serve(&term) {
                Err(error) if error.is_retryable() || error.kind() == crate::ErrorKind::LeaseLost => {
                    crate::logging::record!(Warn, "the intake starts again: {error}");
                    term.release();
                    stop.wait(Duration::from_millis(100));
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Writes questions to Redis during a term of the agent's lease that the caller holds, for example inside a
    /// [`Placement`](crate::Placement).
    ///
    /// # Errors
    /// The kinds of [`run`](Intake::run), [`Unreachable`](crate::ErrorKind::Unreachable) or
    /// [`Refused`](crate::ErrorKind::Refused) if Redis fails, and [`LeaseLost`](crate::ErrorKind::LeaseLost) if the term
    /// was lost.
    pub fn serve(&self, term: &Term) -> Result<()> {
        self.0.fix_shards()?;
        let Some(agent) = connect::connect_with_retry(&self.0.connect, term, self.0.lease.length() / 4)?
        else {
            return Ok(());
        };
        term.close_at_end(&agent);
        let served = serving::serve(&self.0, &agent, term);
        let closed = agent.close();
        match term.end() {
            None => served.and(closed.map_err(Error::from)),
            // The term's end has closed the agent during its use, so expect an error.
            Some(TermEnd::Requested) => {
                served.or_else(|error| if is_closed(&error) { Ok(()) } else { Err(error) })
            }
            Some(TermEnd::Lost) => {
                served.map_err(|error| if is_closed(&error) { Error::lease_lost() } else { error })
            }
        }
    }
}

fn is_closed(error: &Error) -> bool {
    error.platform().is_some_and(|error| error.kind() == crustocean::ErrorKind::Closed)
}

struct StopWhenDropped<'s>(&'s Stop);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("lease", &self.0.lease)
            .field("shards", &self.0.shards)
            .finish_non_exhaustive()
    }
}
