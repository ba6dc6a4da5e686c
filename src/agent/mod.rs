//! The agent in the room.

mod builder;
mod command;
mod event;
mod event_log;
mod events;
mod history;
mod presence;
mod raw;
mod refs;
mod respond;
mod room;
mod rooms;
pub(crate) mod run;
pub(crate) mod send;
mod sending;
mod thinking;
mod trace;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

pub(crate) use builder::AgentOptions;
pub use builder::{AgentBuilder, Reconnect, SentAway, Transport};
pub use command::Command;
pub use event::{DisconnectReason, Event};
pub use events::{Events, RecvError};
pub use presence::Presence;
pub use raw::Raw;
pub use refs::{MessageRef, RoomRef};
pub use respond::{Decision, ExchangeLimit, Mentions, is_mentioned};
pub use room::Room;
pub use send::{Editor, LongMessages, Outgoing, Posted, Unsent};
pub use thinking::Thinking;
pub use trace::Trace;

use crate::config::Config;
use crate::error::Result;
use crate::model::{AgencyId, User};
use crate::rest::{AgentSession, Client};
pub use crate::socket::RawEvent;
use crate::socket::{Limits, Session, Target};
use crate::token::AgentToken;
pub(crate) use history::fetch as backfill;
use history::{Delivery, Since, Source};
use respond::decide::OwnResults;
use rooms::{Following, Rooms, RoomsHost};
use run::OpenRuns;
use send::confirm::Marks;
use send::long::Turn;
pub(crate) use send::metadata::Extras;
use thinking::Thoughts;

/// An agent in the room: connected as long as it lives, answering heartbeats, coming back by itself when the
/// connection is lost, into the rooms that it was in.
///
/// It is a cheap handle: `Clone + Send + Sync`, all clones are the same agent. [`close`](Agent::close) says goodbye;
/// dropping the last handle does the same, in half a second at most ([`Events`] and [`Room`] are handles, too). One sleeping thread belongs to it.
///
/// # Examples
///
/// ```no_run
/// use crustocean::{Agent, Event};
///
/// fn main() -> crustocean::Result<()> {
///     let agent = Agent::from_env()?; // AGENT_TOKEN, CRUSTOCEAN_API_URL
///     agent.join("lobby")?;
///     for event in agent.events() {
///         if let Event::Message(msg) = event? {
///             if agent.should_respond(&msg) {
///                 agent.reply(&msg, "Hello from Rust!")?;
///             }
///         }
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
#[doc(alias = "CrustoceanAgent")]
pub struct Agent {
    inner: Arc<Inner>,
    /// `None` on the agent's own threads, which do not keep it alive.
    _handle: Option<Arc<Handle>>,
}

/// What all handles of the user share: the last one ends the agent, whatever its own threads are doing.
struct Handle(Arc<Inner>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.delivery.stop();
        self.0.session.end();
    }
}

struct Inner {
    session: Session,
    client: Client,
    me: Arc<User>,
    rooms: Arc<Rooms>,
    following: Following,
    delivery: Delivery,
    /// One join of the user's at a time: the server's complaints do not say what they are about.
    joining: Mutex<()>,
    marks: Marks,
    /// Whose turn it is to send a message of several parts.
    long_turn: Turn,
    runs: OpenRuns,
    thoughts: Arc<Thoughts>,
    own_results: OwnResults,
    home: OnceLock<AgencyId>,
    options: AgentOptions,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("username", &self.inner.me.username)
            .field("connected", &self.is_connected())
            .field("rooms", &self.inner.rooms.all())
            .finish()
    }
}

impl Agent {
    /// Exchanges the agent's token for a session, opens the socket, and returns once the server has said yes.
    ///
    /// # Errors
    /// - [`NotVerified`](crate::ErrorKind::NotVerified): the owner has to call `client.agents().verify(id)` once.
    /// - [`Unauthorized`](crate::ErrorKind::Unauthorized): the token is not known (any more).
    /// - [`RateLimited`](crate::ErrorKind::RateLimited): wait for [`retry_after`](crate::Error::retry_after).
    /// - [`Connect`](crate::ErrorKind::Connect), [`Timeout`](crate::ErrorKind::Timeout), [`Tls`](crate::ErrorKind::Tls): the server cannot be
    ///   reached. The first connection is not tried again by itself; later ones are.
    #[doc(alias = "connectSocket")]
    pub fn connect(token: AgentToken) -> Result<Self> {
        Self::builder().connect(token)
    }

    /// [`connect`](Agent::connect) with the token of the environment variable `AGENT_TOKEN` or
    /// `CRUSTOCEAN_AGENT_TOKEN`.
    ///
    /// # Errors
    /// As [`connect`](Agent::connect); [`Config`](crate::ErrorKind::Config) when neither variable is set.
    pub fn from_env() -> Result<Self> {
        Self::connect(AgentToken::from_env()?)
    }

    /// [`connect`](Agent::connect), then [`join`](Agent::join) a room, which becomes the agent's [home](Agent::home):
    /// [`send`](Agent::send) speaks there.
    ///
    /// # Errors
    /// As these two.
    #[doc(alias = "connectAndJoin")]
    pub fn connect_and_join(token: AgentToken, room: impl Into<RoomRef>) -> Result<Self> {
        Self::builder().connect_and_join(token, room)
    }

    /// For another URL, other time limits, TLS.
    pub fn builder() -> AgentBuilder {
        AgentBuilder::default()
    }

    pub(crate) fn open(config: &Config, options: AgentOptions, token: AgentToken) -> Result<Self> {
        let url = config.url()?;
        let dialer = config.dialer()?;
        let http = config.http_with(dialer.clone())?;
        let secrets = http.secrets().clone();
        let account = AgentSession::exchange(http.clone(), token)?;
        let me = account.user();
        let client = Client::for_agent(http, Arc::clone(&account));
        let rooms = Arc::new(Rooms::default());
        let thoughts = Arc::new(Thoughts::default());
        let door = RoomsHost {
            session: account,
            rooms: Arc::clone(&rooms),
            thoughts: Arc::clone(&thoughts),
            join_timeout: options.join_timeout,
            unanswered: Mutex::default(),
        };
        let target = Target {
            dialer,
            url,
            user_agent: config.http.user_agent.clone(),
            dial_timeout: options.handshake_timeout,
            transport: options.transport,
            secrets,
        };
        let limits = Limits { events: options.max_queued_events, bytes: options.max_queued_bytes };
        let name = format!("@{}", me.username);
        let session = Session::open(&name, target, Arc::new(door), limits, options.policy)?;
        let inner = Arc::new(Inner {
            delivery: Delivery::new(session.log().clone()),
            session,
            client,
            me,
            rooms,
            following: Following::default(),
            joining: Mutex::new(()),
            marks: Marks::default(),
            long_turn: Turn::default(),
            runs: OpenRuns::default(),
            thoughts,
            own_results: OwnResults::default(),
            home: OnceLock::new(),
            options,
        });
        let handle = Arc::new(Handle(Arc::clone(&inner)));
        Ok(Agent { inner, _handle: Some(handle) })
    }

    /// For the agent's own threads.
    pub(crate) fn without_handle(&self) -> Agent {
        Agent { inner: Arc::clone(&self.inner), _handle: None }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.inner.session
    }

    pub(crate) fn options(&self) -> &AgentOptions {
        &self.inner.options
    }

    /// From where on a room's history is news, and whether it is that of a direct conversation.
    pub(crate) fn position(&self, room: &AgencyId) -> (Since, bool) {
        self.inner.delivery.position(room)
    }

    /// The next event that is due, if there is one.
    pub(crate) fn next_event(&self) -> Option<Event> {
        let Inner { session, client, rooms, delivery, .. } = &*self.inner;
        let source = Source { session, client };
        let unwanted = |event: &Event| event.room().is_some_and(|room| rooms.has_left(room));
        loop {
            let event = delivery.take(&source);
            if delivery.take_missed() {
                self.look_for_rooms();
            }
            if !event.as_ref().is_some_and(unwanted) {
                return event;
            }
        }
    }

    /// When a consumer that waits has to look again.
    pub(crate) fn delivery_deadline(&self) -> Option<std::time::Instant> {
        self.inner.delivery.deadline()
    }

    /// Nothing comes any more.
    pub(crate) fn end_delivery(&self) {
        self.inner.delivery.end();
    }

    /// Who the agent is.
    pub fn user(&self) -> &User {
        &self.inner.me
    }

    /// REST as this agent, as far as agents may. Its session is renewed when it runs out.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Events of any name, for what this crate has no method for yet.
    pub fn raw(&self) -> Raw<'_> {
        Raw(self)
    }

    /// If the connection is down: dials again now, instead of when the next try is due.
    pub fn reconnect_now(&self) {
        self.inner.session.reconnect_now();
    }

    /// Whether the connection is up and the rooms are joined, at this moment.
    pub fn is_connected(&self) -> bool {
        self.inner.session.is_up()
    }

    /// What happens, in order: all that has happened since the agent connected and nobody has taken yet.
    ///
    /// All loops over an agent's events and [`mentions`](Agent::mentions) share one queue: each event goes to one of
    /// them. A loop over `events` beside one over `mentions` takes mentions away from it; use one or the other.
    ///
    /// ```no_run
    /// use crustocean::Event;
    ///
    /// # fn demo(agent: crustocean::Agent) -> crustocean::Result<()> {
    /// for event in agent.events() {
    ///     if let Event::Message(message) = event? {
    ///         println!("{}: {}", message.sender_username, message.content);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[doc(alias = "on")]
    #[doc(alias = "onDirectMessage")]
    pub fn events(&self) -> Events {
        Events::new(self.clone())
    }

    /// Says goodbye and ends the agent, for all its handles: what waits to be sent fails with
    /// [`Closed`](crate::ErrorKind::Closed), event loops get what is queued and then end. Takes at most the
    /// [`close_timeout`](AgentBuilder::close_timeout).
    ///
    /// Runs that are open end as errors, and no room is shown as being thought about. Telling a server that has stopped
    /// reading so may take the 8 s that any write may, on top.
    ///
    /// Calls of [`client`](Agent::client) that are under way on other threads end at once, with
    /// [`Closed`](crate::ErrorKind::Closed).
    ///
    /// `std::process::exit` runs no destructors: call this before it, to be sure that the last message has left.
    ///
    /// # Errors
    /// What had ended the agent before, if no event loop has been told.
    #[doc(alias = "disconnect")]
    pub fn close(self) -> Result<()> {
        self.inner.client.shutdown();
        self.inner.runs.end_all("the agent was closed");
        self.inner.thoughts.end_all();
        self.inner.delivery.stop();
        self.inner.session.close(self.inner.options.close_timeout)
    }
}
