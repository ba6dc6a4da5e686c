//! From the agent's connection into Redis.

mod book;
pub(crate) mod outbox;
mod past;
mod serve;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crustocean::agent::AgentBuilder;
use crustocean::{Agent, Message, Stop};

use crate::connect::{self, Connect};
use crate::error::{Error, Result};
use crate::keys::{AgentKeys, lease_name};
use crate::lease::{Lease, Term, TermEnd};
use crate::store::Store;
use book::Book;

type JoinRooms = dyn Fn(&Agent) -> crustocean::Result<()> + Send + Sync;
type IsQuestion = dyn Fn(&Agent, &Message) -> bool + Send + Sync;

/// Holds an agent's connection and writes what it is asked to Redis, for [`Workers`](crate::Workers) to answer.
///
/// Run it in as many processes as you like: the one that has the lease `agent:<name>` is connected, the others wait.
/// The next holder reads every room's history from where the one before had come to. Each question gets into the stream
/// of its room's shard once: lease, duplicate, stream and watermark are checked and written by one script.
///
/// ```no_run
/// use crustocean_workers::{Intake, Stop, Store};
///
/// # fn main() -> crustocean_workers::Result<()> {
/// let stop = Stop::new();
/// Intake::new(&Store::from_env()?, "larry")?.run(&stop)?; // AGENT_TOKEN, CRUSTOCEAN_API_URL
/// # Ok(()) }
/// ```
pub struct Intake {
    keys: AgentKeys,
    store: Store,
    lease: Lease,
    connect: Connect,
    rooms: Arc<JoinRooms>,
    filter: Arc<IsQuestion>,
    shards: usize,
    most: usize,
    lookback: Duration,
    book: Book,
}

impl Intake {
    /// The intake of an agent. `agent` is its name in Redis, most often its username.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name is empty, longer than 200 bytes, or has braces or control
    /// characters.
    pub fn new(store: &Store, agent: &str) -> Result<Self> {
        Ok(Intake {
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
            most: 100_000,
            lookback: Duration::from_secs(60 * 60),
            book: Book::default(),
        })
    }

    /// How the agent is connected. Defaults to the token and the URL of the environment, as [`Agent::from_env`].
    pub fn connect(
        mut self,
        connect: impl Fn(AgentBuilder) -> crustocean::Result<Agent> + Send + Sync + 'static,
    ) -> Self {
        self.connect = Arc::new(connect);
        self
    }

    /// Which rooms the agent joins. Defaults to all agencies that it is a member of, and its direct messages.
    pub fn rooms(mut self, join: impl Fn(&Agent) -> crustocean::Result<()> + Send + Sync + 'static) -> Self {
        self.rooms = Arc::new(join);
        self
    }

    /// Which messages are questions. Defaults to [`Agent::should_respond`].
    pub fn filter(mut self, filter: impl Fn(&Agent, &Message) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Arc::new(filter);
        self
    }

    /// How long a term of the holder's lease is. Defaults to 10 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.lease = self.lease.ttl(ttl);
        self
    }

    /// How many streams the rooms are spread over, which is the most handlers that can work at a time. Fixed by the
    /// first intake that runs. Defaults to 16.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards.clamp(1, 4096);
        self
    }

    /// How many questions of one shard may wait. When there are more the intake waits too, and reads on in the rooms'
    /// history afterwards. Defaults to 100,000.
    pub fn most_waiting(mut self, most: usize) -> Self {
        self.most = most.max(1);
        self
    }

    /// When Redis has lost its data: how far back the rooms are read again. What has an answer there is not answered
    /// again. Defaults to an hour.
    ///
    /// An intake that was running meanwhile knows by itself where each room began. One that starts afterwards sees it by
    /// the answers: a room in which this agent has answered before is read again, from the oldest question on that it
    /// finds an answer to.
    pub fn lookback(mut self, time: Duration) -> Self {
        self.lookback = time;
        self
    }

    /// Waits for the lease and takes questions in while it is held, again and again, until it is stopped.
    ///
    /// # Errors
    /// What waiting does not change: a dead token, another number of shards than the one in Redis, a password that
    /// Redis wants.
    pub fn run(&self, stop: &Stop) -> Result<()> {
        let ended = Stop::new();
        std::thread::scope(|scope| {
            scope.spawn(|| self.learn(&ended));
            // Whatever a closure of the user's does.
            let _end = StopWhenDropped(&ended);
            self.run_terms(stop)
        })
    }

    fn run_terms(&self, stop: &Stop) -> Result<()> {
        for term in self.lease.terms(stop) {
            let term = term?;
            match self.serve(&term) {
                Err(error) if error.is_retryable() || error.kind() == crate::ErrorKind::LeaseLost => {
                    log::warn!("the intake begins anew: {error}");
                    term.release();
                    stop.wait(Duration::from_millis(100));
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Takes questions in while a term of the agent's lease is held, which somebody else has got: a
    /// [`Placement`](crate::Placement).
    ///
    /// # Errors
    /// As [`run`](Intake::run).
    pub fn serve(&self, term: &Term) -> Result<()> {
        self.settle_shards()?;
        let Some(agent) = connect::patiently(&self.connect, term, self.lease.length() / 4)? else {
            return Ok(());
        };
        term.close_at_end(&agent);
        let served = serve::serve(self, &agent, term);
        let closed = agent.close();
        match term.end() {
            None => served.and(closed.map_err(Error::from)),
            // The agent was closed under what was going on. What that says then is no failure.
            Some(TermEnd::Asked) => {
                served.or_else(|error| if is_closed(&error) { Ok(()) } else { Err(error) })
            }
            Some(TermEnd::Lost) => {
                served.map_err(|error| if is_closed(&error) { Error::lease_lost() } else { error })
            }
        }
    }

    fn lookback_ms(&self) -> i64 {
        i64::try_from(self.lookback.as_millis()).unwrap_or(i64::MAX)
    }

    fn settle_shards(&self) -> Result<()> {
        let key = self.keys.shards();
        let found: usize = self.store.link().run(|connection| {
            redis::cmd("SETNX").arg(&key).arg(self.shards).exec(connection)?;
            redis::cmd("GET").arg(&key).query(connection)
        })?;
        if found == self.shards {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the questions of this agent are in {found} shards, not {}: say .shards({found}), or stop everything, let \
             the workers answer what is there, and delete the key {key}",
            self.shards
        )))
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
            .field("lease", &self.lease)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}
