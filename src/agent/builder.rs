//! Settings of an agent, and how it comes to life.

use std::time::Duration;

use crate::agent::{Agent, LongMessages, RoomRef};
use crate::config::{Config, connection_settings};
use crate::error::{Error, ErrorKind, Result};
use crate::socket::{Policy, pause_before_retry};
pub use crate::socket::{Reconnect, SentAway, Transport};
use crate::token::AgentToken;

/// Builds an [`Agent`]: [`Agent::builder`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use crustocean::{Agent, AgentToken};
///
/// # fn main() -> crustocean::Result<()> {
/// let agent = Agent::builder()
///     .api_url("http://127.0.0.1:7777")
///     .send_timeout(Duration::from_secs(10))
///     .connect(AgentToken::from_env()?)?;
/// # agent.close()
/// # }
/// ```
#[must_use = "a builder does nothing until it is finished"]
#[derive(Debug, Clone, Default)]
pub struct AgentBuilder {
    config: Config,
    options: AgentOptions,
}

connection_settings!(AgentBuilder);

/// What an agent has to be told besides what a client has.
#[derive(Debug, Clone)]
pub(crate) struct AgentOptions {
    pub(crate) send_timeout: Duration,
    pub(crate) join_timeout: Duration,
    pub(crate) post_timeout: Duration,
    pub(crate) run_wait: Duration,
    pub(crate) long_messages: LongMessages,
    pub(crate) policy: Policy,
    pub(crate) first_connect: Reconnect,
    pub(crate) close_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) transport: Transport,
    pub(crate) max_queued_events: usize,
    pub(crate) max_queued_bytes: usize,
}

impl Default for AgentOptions {
    fn default() -> Self {
        AgentOptions {
            send_timeout: Duration::from_secs(30),
            join_timeout: Duration::from_secs(15),
            post_timeout: Duration::from_secs(15),
            run_wait: Duration::from_secs(300),
            long_messages: LongMessages::default(),
            policy: Policy::default(),
            first_connect: Reconnect::Never,
            close_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(20),
            transport: Transport::Auto,
            max_queued_events: 4096,
            max_queued_bytes: 32 << 20,
        }
    }
}

impl AgentBuilder {
    /// How long sending waits for a lost connection to come back before it gives up with
    /// [`NotSent`](crate::ErrorKind::NotSent). Defaults to 30 s.
    pub fn send_timeout(mut self, limit: Duration) -> Self {
        self.options.send_timeout = limit;
        self
    }

    /// How long the server may take to confirm that a room was joined. Defaults to 15 s.
    pub fn join_timeout(mut self, limit: Duration) -> Self {
        self.options.join_timeout = limit;
        self
    }

    /// How long [`Agent::post`] waits for the room to show the message. Defaults to 15 s.
    pub fn post_timeout(mut self, limit: Duration) -> Self {
        self.options.post_timeout = limit;
        self
    }

    /// How long [`Room::start_run`](crate::Room::start_run) waits for a run that is open in its room. Defaults to 5
    /// minutes.
    pub fn run_wait(mut self, limit: Duration) -> Self {
        self.options.run_wait = limit;
        self
    }

    /// What becomes of texts that are too long for one message. Defaults to splitting them at 8,000 characters, with a
    /// pause of 350 ms between the parts.
    pub fn long_messages(mut self, policy: LongMessages) -> Self {
        self.options.long_messages = policy;
        self
    }

    /// What happens when the connection is lost. Defaults to [`Reconnect::Forever`].
    pub fn reconnect(mut self, policy: Reconnect) -> Self {
        self.options.policy.reconnect = policy;
        self
    }

    /// What happens when the *first* connection cannot be made: a bot that starts with its machine is often there before the
    /// network is. With [`Reconnect::Forever`] or [`Reconnect::AtMost`] it is tried again, 0.5 to 5 s apart or as the
    /// server asks, as long as the reason may pass: no network, a server that is down, busy or full. Any other error, such
    /// as a wrong token or an unknown certificate, ends it at once, and so does a [`stop`](Self::stop), with
    /// [`Closed`](crate::ErrorKind::Closed). Each failed try is logged as a warning.
    ///
    /// Defaults to [`Reconnect::Never`]: the first error is returned.
    ///
    /// ```no_run
    /// use crustocean::{Agent, AgentToken, agent::Reconnect};
    ///
    /// # fn main() -> crustocean::Result<()> {
    /// let agent = Agent::builder().first_connect(Reconnect::Forever).connect(AgentToken::from_env()?)?;
    /// # agent.close()
    /// # }
    /// ```
    pub fn first_connect(mut self, policy: Reconnect) -> Self {
        self.options.first_connect = policy;
        self
    }

    /// What happens when the server refuses the agent after a lost connection, although its session has just been
    /// renewed. [`SentAway::ComeBack`] asks again after 30 s to 10 minutes. An agent token that is dead ends the event
    /// loop in any case. Defaults to [`SentAway::ComeBack`].
    pub fn when_refused(mut self, policy: SentAway) -> Self {
        self.options.policy.refused = policy;
        self
    }

    /// What happens when the server itself ends the connection (`io server disconnect`): a kick, a ban and a deploy
    /// all look like this. [`SentAway::ComeBack`] waits 5 to 10 s. Defaults to [`SentAway::ComeBack`].
    pub fn when_disconnected(mut self, policy: SentAway) -> Self {
        self.options.policy.disconnected = policy;
        self
    }

    /// How long [`Agent::close`] may take. Defaults to 5 s.
    pub fn close_timeout(mut self, limit: Duration) -> Self {
        self.options.close_timeout = limit;
        self
    }

    /// WebSocket, HTTP long-polling, or whichever works. Defaults to [`Transport::Auto`].
    pub fn transport(mut self, transport: Transport) -> Self {
        self.options.transport = transport;
        self
    }

    /// How long setting up the socket may take: name look-up, TCP, TLS, WebSocket. [`Transport::Auto`] keeps at least
    /// a third of it for polling. Then the server has the same time once more to let the agent in. Defaults to 20 s.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.options.handshake_timeout = limit;
        self
    }

    /// How many events, and how many bytes of them, wait for a slow loop before the oldest are dropped.
    /// Defaults to 4,096 events and 32 MiB.
    pub fn queue(mut self, events: usize, bytes: usize) -> Self {
        self.options.max_queued_events = events;
        self.options.max_queued_bytes = bytes;
        self
    }

    /// Exchanges the token, connects, and returns once the server has said yes.
    ///
    /// # Errors
    /// As [`Agent::connect`].
    pub fn connect(self, token: AgentToken) -> Result<Agent> {
        let stop = self.config.stop.clone().unwrap_or_default();
        let mut tries = 0;
        loop {
            let error = match Agent::open(&self.config, self.options.clone(), token.clone()) {
                Ok(agent) => return Ok(agent),
                Err(_) if stop.is_stopped() => return Err(Error::closed()),
                Err(error) => error,
            };
            if !may_pass(&error) || !self.options.first_connect.allows(tries) {
                return Err(error);
            }
            let pause = pause_before_retry(tries, error.retry_after());
            tries = tries.saturating_add(1);
            crate::logging::warn!("cannot connect yet: {error}; once more in {pause:.1?}");
            if stop.wait(pause) {
                return Err(Error::closed());
            }
        }
    }

    /// [`connect`](Self::connect), then [`join`](Agent::join) a room, which becomes the agent's [home](Agent::home).
    ///
    /// # Errors
    /// As these two.
    pub fn connect_and_join(self, token: AgentToken, room: impl Into<RoomRef>) -> Result<Agent> {
        let agent = self.connect(token)?;
        agent.set_home(&agent.join(room)?)?;
        Ok(agent)
    }
}

/// Whether the reason why there is no connection may be gone later, without anybody changing something here.
fn may_pass(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::RateLimited => true,
        ErrorKind::Server => error.is_retryable() || error.status().is_some_and(|status| status >= 500),
        _ => error.is_retryable(),
    }
}
