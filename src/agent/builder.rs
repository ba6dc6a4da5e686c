//! Settings of an agent, and the call that connects it.

use std::path::PathBuf;
use std::time::Duration;

use crate::agent::connecting;
use crate::agent::memory::Remember;
use crate::agent::options::AgentOptions;
use crate::agent::{Agent, LongMessages, RoomRef, StateStore};
use crate::config::{Config, connection_settings};
use crate::error::{Error, ErrorKind, Result};
use crate::socket::pause_before_retry;
pub use crate::socket::{DisconnectPolicy, Reconnect, Transport};
use crate::token::AgentToken;

/// Builds an [`Agent`]. Returned by [`Agent::builder`].
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

impl AgentBuilder {
    /// How long a send waits for a lost connection before it fails with [`NotSent`](crate::ErrorKind::NotSent).
    /// Defaults to 30 s.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let builder = crustocean::Agent::builder().send_timeout(Duration::from_secs(5));
    /// # let _ = builder;
    /// ```
    pub fn send_timeout(mut self, limit: Duration) -> Self {
        self.options.send_timeout = limit;
        self
    }

    /// How long the server may take to confirm a join. Defaults to 15 s.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let builder = crustocean::Agent::builder().join_timeout(Duration::from_secs(5));
    /// # let _ = builder;
    /// ```
    pub fn join_timeout(mut self, limit: Duration) -> Self {
        self.options.join_timeout = limit;
        self
    }

    /// How long [`Agent::post`] waits until the room shows the message. Defaults to 15 s.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let builder = crustocean::Agent::builder().post_timeout(Duration::from_secs(5));
    /// # let _ = builder;
    /// ```
    pub fn post_timeout(mut self, limit: Duration) -> Self {
        self.options.post_timeout = limit;
        self
    }

    /// How long [`Room::start_run`](crate::Room::start_run) waits for a run that is open in its room. Defaults to 5
    /// minutes.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let builder = crustocean::Agent::builder().run_wait(Duration::from_secs(60));
    /// # let _ = builder;
    /// ```
    pub fn run_wait(mut self, limit: Duration) -> Self {
        self.options.run_wait = limit;
        self
    }

    /// How the agent sends a text that is too long for one message. By default it splits the text at 8,000 characters
    /// and pauses 350 ms between the parts.
    ///
    /// ```no_run
    /// use crustocean::agent::LongMessages;
    ///
    /// let builder = crustocean::Agent::builder().long_messages(LongMessages::refuse(2_000));
    /// # let _ = builder;
    /// ```
    pub fn long_messages(mut self, policy: LongMessages) -> Self {
        self.options.long_messages = policy;
        self
    }

    /// Whether and how often the agent reconnects after a lost connection. Defaults to [`Reconnect::Forever`].
    ///
    /// ```no_run
    /// use crustocean::agent::Reconnect;
    ///
    /// let builder = crustocean::Agent::builder().reconnect(Reconnect::AtMost(10));
    /// # let _ = builder;
    /// ```
    pub fn reconnect(mut self, policy: Reconnect) -> Self {
        self.options.policy.reconnect = policy;
        self
    }

    /// Whether the agent retries its *first* connection. Use this for a bot that may start before the network is
    /// available. With [`Reconnect::Forever`] or [`Reconnect::AtMost`], the crate retries temporary failures: no
    /// network, or a server that is down, busy or full. The crate waits 0.5 to 5 s between two attempts, or as long as
    /// the server asks. `connect` returns any other error, such as a wrong token or an unknown certificate, at once. A
    /// [`stop`](Self::stop) ends the attempts with [`Closed`](crate::ErrorKind::Closed). The crate logs each failed
    /// attempt as a warning.
    ///
    /// Defaults to [`Reconnect::Never`]: `connect` returns the first error.
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

    /// Sets the agent's reaction if the server refuses the agent after a lost connection, although the agent has just
    /// renewed its session. [`DisconnectPolicy::Reconnect`] tries again after 30 s to 10 minutes. A revoked agent token
    /// always ends the event loop. Defaults to [`DisconnectPolicy::Reconnect`].
    ///
    /// ```no_run
    /// use crustocean::agent::DisconnectPolicy;
    ///
    /// let builder = crustocean::Agent::builder().when_refused(DisconnectPolicy::Stop);
    /// # let _ = builder;
    /// ```
    pub fn when_refused(mut self, policy: DisconnectPolicy) -> Self {
        self.options.policy.refused = policy;
        self
    }

    /// Sets the agent's reaction if the server ends the connection (`io server disconnect`). A kick, a ban and a deploy
    /// all look like this. [`DisconnectPolicy::Reconnect`] tries again after 5 to 10 s. Defaults to
    /// [`DisconnectPolicy::Reconnect`].
    ///
    /// ```no_run
    /// use crustocean::agent::DisconnectPolicy;
    ///
    /// let builder = crustocean::Agent::builder().when_disconnected(DisconnectPolicy::Stop);
    /// # let _ = builder;
    /// ```
    pub fn when_disconnected(mut self, policy: DisconnectPolicy) -> Self {
        self.options.policy.disconnected = policy;
        self
    }

    /// How long [`Agent::close`] may take: the connection and the store together. If the connection uses all the time, the
    /// store still gets 0.1 s. Defaults to 5 s.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let builder = crustocean::Agent::builder().close_timeout(Duration::from_secs(1));
    /// # let _ = builder;
    /// ```
    pub fn close_timeout(mut self, limit: Duration) -> Self {
        self.options.close_timeout = limit;
        self
    }

    /// Selects WebSocket or HTTP long-polling. Defaults to [`Transport::Auto`], which tries both.
    ///
    /// ```no_run
    /// use crustocean::agent::Transport;
    ///
    /// let builder = crustocean::Agent::builder().transport(Transport::WebSocket);
    /// # let _ = builder;
    /// ```
    pub fn transport(mut self, transport: Transport) -> Self {
        self.options.transport = transport;
        self
    }

    /// How long opening the socket may take: DNS lookup, TCP, TLS and WebSocket. [`Transport::Auto`] keeps at least a
    /// third of this time for long-polling. After that, the server has the same time again to accept the agent.
    /// Defaults to 20 s.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let builder = crustocean::Agent::builder().handshake_timeout(Duration::from_secs(10));
    /// # let _ = builder;
    /// ```
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.options.handshake_timeout = limit;
        self
    }

    /// The most events, and the most bytes of events, that wait for a slow loop. Above a limit, the crate drops the
    /// oldest events. Defaults to 4,096 events and 32 MiB.
    ///
    /// ```no_run
    /// let builder = crustocean::Agent::builder().queue(10_000, 64 << 20);
    /// # let _ = builder;
    /// ```
    pub fn queue(mut self, events: usize, bytes: usize) -> Self {
        self.options.max_queued_events = events;
        self.options.max_queued_bytes = bytes;
        self
    }

    /// Remembers in this file which messages the agent has heard and which questions are done. After the next start,
    /// the messages that were sent meanwhile come first, in order and marked [`replayed`](crate::Message::replayed), as
    /// soon as the agent has joined their room. The agent hands out unfinished questions again, unless the room already
    /// has the answer. ([`reply`](Agent::reply), [`in_reply_to`](crate::Room::in_reply_to) and runs store the id of the
    /// answered message in the metadata.) On its first start, the agent begins with new messages. By default the agent
    /// remembers nothing.
    ///
    /// A question is done when the thread that took it asks for the next question, or after
    /// [`Mention::done`](crate::Mention::done). The file records this before that thread gets the next question. The
    /// same holds for [`commands`](Agent::commands). The file records other messages at most once a second: after a
    /// kill, [`events`](Agent::events) may yield messages of the last second again.
    ///
    /// The crate always replaces the whole file, so the file is never incomplete. Only one agent at a time can use the
    /// file. The agent locks the file until its last handle is dropped or its process ends. The lock is a second file
    /// with the ending `.lock`.
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::builder()
    ///     .remember("larry.state")
    ///     .connect_and_join(crustocean::AgentToken::from_env()?, "lobby")?;
    /// for mention in agent.mentions() {
    ///     // Questions that were asked while the program was down come, too.
    ///     mention?.reply("42").unwrap_or_else(|error| eprintln!("not answered: {error}"));
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `connect` fails with [`Config`](crate::ErrorKind::Config) if the file cannot be read or written, is in use, is
    /// damaged, or belongs to another agent. The error names the file; the file is not changed.
    pub fn remember(mut self, file: impl Into<PathBuf>) -> Self {
        self.options.remember = Some(Remember::in_file(file.into()));
        self
    }

    /// Like [`remember`](Self::remember), but with your own storage: a database, or a
    /// [`MemoryStore`](crate::agent::MemoryStore) for tests.
    ///
    /// ```no_run
    /// let builder = crustocean::Agent::builder().remember_in(crustocean::agent::MemoryStore::default());
    /// # let _ = builder;
    /// ```
    pub fn remember_in(mut self, store: impl StateStore) -> Self {
        self.options.remember = Some(Remember::in_store(store));
        self
    }

    /// The greatest age of messages that an agent that [remembers](Self::remember) reads after a start. The agent skips
    /// older messages. Defaults to 24 hours.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let builder = crustocean::Agent::builder().remember("larry.state").max_age(Duration::from_secs(60 * 60));
    /// # let _ = builder;
    /// ```
    pub fn max_age(mut self, age: Duration) -> Self {
        self.options.max_age = age;
        self
    }

    /// Exchanges the token for a session, connects, and returns when the server has accepted the agent.
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::builder().connect(crustocean::AgentToken::from_env()?)?;
    /// # agent.close()
    /// # }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Agent::connect`].
    pub fn connect(self, token: AgentToken) -> Result<Agent> {
        let stop = self.config.stop.clone().unwrap_or_default();
        let mut tries = 0;
        loop {
            let error = match connecting::open(&self.config, self.options.clone(), token.clone()) {
                Ok(agent) => return Ok(Agent::new(agent)),
                Err(_) if stop.is_stopped() => return Err(Error::stopped_early()),
                Err(error) => error,
            };
            if !may_pass(&error) || !self.options.first_connect.allows(tries) {
                return Err(error);
            }
            let pause = pause_before_retry(tries, error.retry_after());
            tries = tries.saturating_add(1);
            crate::logging::warn!("cannot connect: {error}; next attempt in {pause:.1?}");
            if stop.wait(pause) {
                return Err(Error::stopped_early());
            }
        }
    }

    /// [Connects](Self::connect), then [joins](Agent::join) a room. The room becomes the agent's [home](Agent::home).
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// let token = crustocean::AgentToken::from_env()?;
    /// let agent = crustocean::Agent::builder().connect_and_join(token, "lobby")?;
    /// agent.send("hello")?;
    /// # agent.close()
    /// # }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Agent::connect`] and [`Agent::join`].
    pub fn connect_and_join(self, token: AgentToken, room: impl Into<RoomRef>) -> Result<Agent> {
        let agent = self.connect(token)?;
        agent.set_home(&agent.join(room)?)?;
        Ok(agent)
    }
}

/// Whether a later attempt to connect may succeed without a change on this machine.
fn may_pass(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::RateLimited => true,
        ErrorKind::Server => error.is_retryable() || error.status().is_some_and(|status| status >= 500),
        _ => error.is_retryable(),
    }
}
