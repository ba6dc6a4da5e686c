//! The agent in the room.

mod backfill;
mod builder;
mod command;
mod event;
mod events;
mod feed;
mod mention;
mod outgoing;
mod post;
mod respond;
mod room;
mod rooms;
mod track;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

pub use builder::{AgentBuilder, AgentOptions, Reconnect, Transport};
pub use command::Command;
pub use event::Event;
pub use events::{Events, RecvError};
pub use mention::is_mentioned;
pub use outgoing::Outgoing;
pub use respond::Decision;
pub use room::Room;

use crate::client::{AgentSession, Client};
use crate::config::{Builder, Config};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, AgencyJoined, Conversation, LoopGuard, Message, MessageId, User};
use crate::net::{Dialer, Http};
use crate::socket::{Item, Limits, RawEvent, Session, Target};
use crate::token::AgentToken;
use feed::{Feed, Source};
use outgoing::EditMessage;
use post::Post;
use rooms::{Door, Rooms, join_on};
use track::Since;

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
pub struct Agent {
    inner: Arc<Inner>,
}

struct Inner {
    session: Session,
    client: Client,
    me: Arc<User>,
    rooms: Arc<Rooms>,
    feed: Feed,
    /// One join of the user's at a time: the server's complaints do not say what they are about.
    joining: Mutex<()>,
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
    /// - [`NotVerified`](ErrorKind::NotVerified): the owner has to call `client.agents().verify(id)` once.
    /// - [`Unauthorized`](ErrorKind::Unauthorized): the token is not known (any more).
    /// - [`RateLimited`](ErrorKind::RateLimited): wait for [`retry_after`](Error::retry_after).
    /// - [`Connect`](ErrorKind::Connect), [`Timeout`](ErrorKind::Timeout), [`Tls`](ErrorKind::Tls): the server cannot be
    ///   reached. The first connection is not tried again by itself; later ones are.
    pub fn connect(token: AgentToken) -> Result<Self> {
        Self::builder().connect(token)
    }

    /// [`connect`](Agent::connect) with the token of the environment variable `AGENT_TOKEN` or
    /// `CRUSTOCEAN_AGENT_TOKEN`.
    ///
    /// # Errors
    /// As [`connect`](Agent::connect); [`Config`](ErrorKind::Config) when neither variable is set.
    pub fn from_env() -> Result<Self> {
        Self::connect(AgentToken::from_env()?)
    }

    /// [`connect`](Agent::connect), then [`join`](Agent::join).
    ///
    /// # Errors
    /// As these two.
    pub fn connect_and_join(token: AgentToken, slug_or_id: impl AsRef<str>) -> Result<Self> {
        let agent = Self::connect(token)?;
        agent.join(slug_or_id)?;
        Ok(agent)
    }

    /// For another URL, other time limits, TLS.
    pub fn builder() -> AgentBuilder {
        Builder::new()
    }

    pub(crate) fn open(config: &Config, options: AgentOptions, token: AgentToken) -> Result<Self> {
        let url = config.url()?;
        let dialer = Dialer::new(config)?;
        let http = Http::with_dialer(config, dialer.clone())?;
        let account = AgentSession::exchange(http.clone(), token)?;
        let me = account.user();
        let client = Client::for_agent(http, Arc::clone(&account));
        let rooms = Arc::new(Rooms::default());
        let door = Door { session: account, rooms: Arc::clone(&rooms), join_timeout: options.join_timeout };
        let target = Target {
            dialer,
            url,
            user_agent: config.user_agent.clone(),
            dial_timeout: options.handshake_timeout,
            transport: options.transport,
        };
        let limits = Limits { events: options.max_queued_events, bytes: options.max_queued_bytes };
        let session = Session::open(target, Arc::new(door), limits, options.reconnect)?;
        Ok(Agent {
            inner: Arc::new(Inner {
                session,
                client,
                me,
                rooms,
                feed: Feed::default(),
                joining: Mutex::new(()),
                options,
            }),
        })
    }

    pub(crate) fn session(&self) -> &Session {
        &self.inner.session
    }

    pub(crate) fn options(&self) -> &AgentOptions {
        &self.inner.options
    }

    /// From where on a room's history is news, and whether it is that of a direct conversation.
    pub(crate) fn position(&self, room: &AgencyId) -> (Since, bool) {
        self.inner.feed.position(room)
    }

    /// The next event, from what is there already or from `item`.
    pub(crate) fn next_event(&self, item: Option<Item>) -> Option<Event> {
        let Inner { session, client, rooms, feed, .. } = &*self.inner;
        let source = Source { session, client, rooms };
        match item {
            Some(item) => feed.accept(item, &source),
            None => feed.take_ready(&source),
        }
    }

    /// Who the agent is.
    pub fn user(&self) -> &User {
        &self.inner.me
    }

    /// REST as this agent, as far as agents may. Its session is renewed when it runs out.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// If the connection is down: dials again now, instead of when the next try is due.
    pub fn reconnect_now(&self) {
        self.inner.session.reconnect_now();
    }

    /// Whether the connection is up and the rooms are joined, at this moment.
    pub fn is_connected(&self) -> bool {
        self.inner.session.is_up()
    }

    /// What happens from now on, and what has happened since the agent connected and nobody has taken yet.
    pub fn events(&self) -> Events {
        Events::new(self.clone())
    }

    /// Joins a room, named by its slug or its id, and waits until the server confirms it. It becomes the room that
    /// [`send`](Agent::send) speaks in.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when no agency has that slug or id, [`Rejected`](ErrorKind::Rejected) with the
    /// server's words when it does not let the agent in, [`Timeout`](ErrorKind::Timeout) when it says nothing.
    pub fn join(&self, slug_or_id: impl AsRef<str>) -> Result<Room> {
        let id = self.resolve(slug_or_id.as_ref().trim())?;
        let joined = self.enter(&id, false)?;
        self.inner.rooms.add(&id);
        Ok(Room::new(self.clone(), id, joined.members))
    }

    /// The id of the agency that is meant. The API wants ids only.
    fn resolve(&self, slug_or_id: &str) -> Result<AgencyId> {
        if slug_or_id.is_empty() {
            return Err(Error::invalid("name the room to join by its slug or id"));
        }
        // Direct-message rooms are in no list, and an id needs none.
        if looks_like_an_id(slug_or_id) {
            return Ok(slug_or_id.into());
        }
        let agencies = self.inner.client.agencies().list()?;
        let found = agencies
            .iter()
            .find(|agency| agency.id == slug_or_id)
            .or_else(|| agencies.iter().find(|agency| agency.slug.eq_ignore_ascii_case(slug_or_id)));
        match found {
            Some(agency) => Ok(agency.id.clone()),
            None => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "the agent can see no agency {slug_or_id:?}: agent.client().agencies().list() shows which it can; \
                     if it is private, its owner adds the agent with client.agencies().add_agent(..)"
                ),
            )),
        }
    }

    fn enter(&self, id: &AgencyId, dm: bool) -> Result<AgencyJoined> {
        let Inner { feed, client, .. } = &*self.inner;
        // Before, because what is said between this and the join must not fall between two stools.
        feed.before_join(client, id, dm);
        let joined = self.enter_socket(id)?;
        feed.after_join(client, id, dm);
        Ok(joined)
    }

    fn enter_socket(&self, id: &AgencyId) -> Result<AgencyJoined> {
        let limit = self.inner.options.join_timeout;
        let deadline = Instant::now() + limit;
        let _one_at_a_time = self.inner.joining.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let line = self.inner.session.line(deadline)?;
            match join_on(&line, id, limit) {
                // The link broke meanwhile. To join twice does no harm.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Connect | ErrorKind::NotSent | ErrorKind::MaybeSent
                    ) && Instant::now() < deadline => {}
                other => return other,
            }
        }
    }

    /// The rooms that the agent is in, direct messages included, in the order they were joined.
    pub fn rooms(&self) -> Vec<Room> {
        self.inner.rooms.all().into_iter().map(|id| Room::new(self.clone(), id, Vec::new())).collect()
    }

    /// Speaks in the room joined last. Returns once the message is handed to the operating system; waits for a
    /// lost connection to come back, up to the [`send_timeout`](AgentBuilder::send_timeout).
    ///
    /// # Errors
    /// - [`NotSent`](ErrorKind::NotSent): the connection did not come back in time. Certainly not sent.
    /// - [`MaybeSent`](ErrorKind::MaybeSent): the connection broke in the middle. It is never repeated by this crate.
    /// - [`Invalid`](ErrorKind::Invalid): no text, larger than the server takes, or no room joined.
    /// - [`Closed`](ErrorKind::Closed): the agent was closed.
    pub fn send(&self, message: impl Into<Outgoing>) -> Result<()> {
        self.send_to(&self.current_room()?, &message.into())
    }

    /// Speaks in the room joined last and waits until the message has been seen there: the confirmed form of
    /// [`send`](Agent::send). Returns the message as the room has it, with its id.
    ///
    /// If the connection breaks in between, the room's history settles the matter after the reconnect. To be known again
    /// the message carries a key `post_id` in its metadata.
    ///
    /// # Errors
    /// - [`NotSent`](ErrorKind::NotSent): it is not in the room, looked for there after the connection was back.
    /// - [`Rejected`](ErrorKind::Rejected): the server complained, in these words, and the message did not show. (The
    ///   server does not say what a complaint is about.)
    /// - [`Timeout`](ErrorKind::Timeout): handed over, but not seen within the
    ///   [`post_timeout`](AgentBuilder::post_timeout).
    /// - [`MaybeSent`](ErrorKind::MaybeSent): the connection broke, and the history that would tell cannot be read.
    pub fn post(&self, message: impl Into<Outgoing>) -> Result<Message> {
        self.post_to(&self.current_room()?, message.into())
    }

    pub(crate) fn post_to(&self, room: &AgencyId, message: Outgoing) -> Result<Message> {
        let Inner { session, client, me, feed, options, .. } = &*self.inner;
        let mark = post::new_mark();
        let (since, dm) = feed.position(room);
        Post {
            session,
            client,
            me,
            room,
            message: message.marked(&mark),
            mark,
            since,
            dm,
            send_timeout: options.send_timeout,
            echo_timeout: options.post_timeout,
        }
        .run()
    }

    /// As [`send`](Agent::send), but never waits for a lost connection.
    ///
    /// # Errors
    /// As [`send`](Agent::send); [`NotSent`](ErrorKind::NotSent) at once when the connection is down.
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<()> {
        let room = self.current_room()?;
        self.inner.session.emit("send-message", &message.into().payload(&room)?, Instant::now())
    }

    fn current_room(&self) -> Result<AgencyId> {
        let none = || Error::invalid("the agent is in no room: call agent.join(\"lobby\") first");
        self.inner.rooms.current().ok_or_else(none)
    }

    /// Answers a message in the room that it came from, and carries its loop guard on: one hop more.
    ///
    /// # Errors
    /// As [`send`](Agent::send).
    pub fn reply(&self, to: &Message, message: impl Into<Outgoing>) -> Result<()> {
        let guard = to.loop_guard().map_or_else(LoopGuard::first, |guard| guard.next());
        self.send_to(&to.agency_id, &message.into().guarded(&guard))
    }

    pub(crate) fn send_to(&self, room: &AgencyId, message: &Outgoing) -> Result<()> {
        self.emit("send-message", &message.payload(room)?)
    }

    /// Gives one of the agent's own messages a new text.
    ///
    /// # Errors
    /// As [`send`](Agent::send). That the message is not the agent's own shows as
    /// [`Event::ServerError`].
    pub fn edit(&self, message: &Message, text: impl AsRef<str>) -> Result<()> {
        self.edit_in(&message.agency_id, &message.id, text.as_ref())
    }

    pub(crate) fn edit_in(&self, room: &AgencyId, message: &MessageId, text: &str) -> Result<()> {
        let content = text.trim();
        if content.is_empty() {
            return Err(Error::invalid("the new text is empty"));
        }
        self.emit("edit-message", &EditMessage { agency_id: room, message_id: message, content })
    }

    /// Sends an event of any name, for what this crate has no method for yet. The counterpart of
    /// [`Event::Other`].
    ///
    /// # Errors
    /// As [`send`](Agent::send); [`Invalid`](ErrorKind::Invalid) when the payload cannot be written as JSON or the name
    /// is one that the protocol keeps for itself.
    pub fn emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        let until = Instant::now() + self.inner.options.send_timeout;
        self.inner.session.emit(name, payload, until)
    }

    /// Sends an event of any name and waits for the server's ack, `timeout` at most. May be used inside a handler.
    /// An ack without arguments is `null`.
    ///
    /// # Errors
    /// As [`emit`](Agent::emit); [`Timeout`](ErrorKind::Timeout) when no ack comes, [`MaybeSent`](ErrorKind::MaybeSent)
    /// when the connection breaks first, [`Protocol`](ErrorKind::Protocol) when the ack cannot be decoded.
    pub fn call(&self, name: &str, payload: &impl Serialize, timeout: Duration) -> Result<Value> {
        let until = Instant::now() + self.inner.options.send_timeout;
        let args = self.inner.session.emit_with_ack(name, payload, until, timeout)?;
        args.first().map_err(|error| {
            Error::protocol(format!("the ack of {name} cannot be decoded")).with_source(error)
        })
    }

    /// Answers an event of the server's that [wants an answer](RawEvent::wants_answer), once.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when no answer is wanted or one was given,
    /// [`NotSent`](ErrorKind::NotSent) when the connection that the event came over is gone.
    pub fn answer(&self, event: &RawEvent, payload: &impl Serialize) -> Result<()> {
        self.inner.session.answer(event, payload)
    }

    /// The agent's direct-message conversations.
    ///
    /// # Errors
    /// Those of any REST call.
    pub fn dms(&self) -> Result<Vec<Conversation>> {
        self.inner.client.dms().list()
    }

    /// Joins the rooms of all direct-message conversations there are now, so that their messages arrive as events. Call
    /// it again, every few minutes say, for conversations that were begun since: the platform does not announce them.
    /// The room
    /// that [`send`](Agent::send) speaks in stays the same.
    ///
    /// # Errors
    /// The first that occurs; the other rooms are joined nevertheless.
    pub fn join_dms(&self) -> Result<Vec<Room>> {
        let mut rooms = Vec::new();
        let mut first_error = None;
        for dm in self.dms()? {
            match self.enter(&dm.agency_id, true) {
                Ok(joined) => {
                    self.inner.rooms.add_behind(&dm.agency_id);
                    rooms.push(Room::new(self.clone(), dm.agency_id, joined.members));
                }
                Err(error) if error.is_closed() => return Err(error),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(rooms), Err)
    }

    /// Sends a direct message in a conversation's room ([`Conversation::agency_id`]), which is joined first if it has not been.
    ///
    /// # Errors
    /// As [`send`](Agent::send) and [`join`](Agent::join).
    pub fn send_dm(&self, room: &AgencyId, message: impl Into<Outgoing>) -> Result<()> {
        if !self.inner.rooms.contains(room) {
            self.enter(room, true)?;
            self.inner.rooms.add_behind(room);
        }
        self.send_to(room, &message.into())
    }

    /// Whether a message is for this agent to answer: it mentions the agent's exact handle (`@larry` is not
    /// `@larry_lobster`) or is a direct message, is not the agent's own, and its loop guard allows one more hop.
    pub fn should_respond(&self, message: &Message) -> bool {
        self.decide(message) == Decision::Respond
    }

    /// As [`should_respond`](Agent::should_respond), with the reason.
    pub fn decide(&self, message: &Message) -> Decision {
        respond::decide(message, &self.inner.me)
    }

    /// Says goodbye and ends the agent, for all its handles: what waits to be sent fails with
    /// [`Closed`](ErrorKind::Closed), event loops get what is queued and then end. Takes at most the
    /// [`close_timeout`](AgentBuilder::close_timeout).
    ///
    /// `std::process::exit` runs no destructors: call this before it, to be sure that the last message has left.
    ///
    /// # Errors
    /// What had ended the agent before, if no event loop has been told.
    pub fn close(self) -> Result<()> {
        self.inner.session.close(self.inner.options.close_timeout)
    }
}

/// Ids are UUIDs; a slug of this form would be a strange coincidence.
fn looks_like_an_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
