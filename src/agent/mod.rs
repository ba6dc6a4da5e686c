//! The agent in the room.
#![doc = include_str!("from_javascript.md")]

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
use std::time::Duration;

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
use crate::error::{Error, Result};
use crate::model::{AgencyId, Conversation, List, Message, MessageEdited, User};
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
    /// ```no_run
    /// # fn demo() -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::connect("sk_…".parse()?)?;
    /// # let _ = agent;
    /// # Ok(()) }
    /// ```
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
    /// ```no_run
    /// # fn demo() -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::from_env()?;
    /// # let _ = agent;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`connect`](Agent::connect); [`Config`](crate::ErrorKind::Config) when neither variable is set.
    pub fn from_env() -> Result<Self> {
        Self::connect(AgentToken::from_env()?)
    }

    /// [`connect`](Agent::connect), then [`join`](Agent::join) a room, which becomes the agent's [home](Agent::home):
    /// [`send`](Agent::send) speaks there.
    ///
    /// ```no_run
    /// # fn demo() -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::connect_and_join("sk_…".parse()?, "lobby")?;
    /// agent.send("hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As these two.
    #[doc(alias = "connectAndJoin")]
    pub fn connect_and_join(token: AgentToken, room: impl Into<RoomRef>) -> Result<Self> {
        Self::builder().connect_and_join(token, room)
    }

    /// For another URL, other time limits, TLS.
    ///
    /// ```no_run
    /// # fn demo() -> crustocean::Result<()> {
    /// let builder = crustocean::Agent::builder().api_url("http://localhost:8787");
    /// let agent = builder.connect("sk_…".parse()?)?;
    /// # let _ = agent;
    /// # Ok(()) }
    /// ```
    pub fn builder() -> AgentBuilder {
        AgentBuilder::default()
    }

    /// Who the agent is.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// println!("I am @{}", agent.user().username);
    /// # Ok(()) }
    /// ```
    pub fn user(&self) -> &User {
        &self.inner.me
    }

    /// Whether the connection is up and the rooms are joined, at this moment.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// if !agent.is_connected() {
    ///     println!("what is sent now waits");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn is_connected(&self) -> bool {
        self.inner.session.is_up()
    }

    /// Joins a room, named by its slug or its id, and waits until the server confirms it. The returned handle speaks
    /// there.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let room = agent.join("lobby")?;
    /// room.send("hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when no agency has that slug or id, [`Rejected`](crate::ErrorKind::Rejected) with the
    /// server's words when it does not let the agent in, [`Timeout`](crate::ErrorKind::Timeout) when it says nothing.
    pub fn join(&self, room: impl Into<RoomRef>) -> Result<Room> {
        self.join_room(room.into())
    }

    /// Joins the rooms of all agencies that the agent is a member of, all at once. What is joined already stays as it
    /// is.
    ///
    /// Returns those that the agent is in now; for each one that it cannot get into there is an
    /// [`Event::JoinFailed`]. For agencies that it is added to later: [`follow_invites`](Agent::follow_invites).
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for room in agent.join_all()? {
    ///     println!("in {}", room.id());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the list cannot be had, or the connection is down for longer than the
    /// [`join_timeout`](crate::agent::AgentBuilder::join_timeout).
    #[doc(alias = "joinAllMemberAgencies")]
    pub fn join_all(&self) -> Result<Vec<Room>> {
        self.join_memberships()
    }

    /// From now on, when the agent is added to an agency, its room is joined before
    /// [`Event::AgencyInvited`] is handed out. Invitations that come while the connection is down, or the loop is too
    /// slow, are found afterwards. The room that [`send`](Agent::send) speaks in stays the same.
    ///
    /// Somebody has to take events for it ([`events`](Agent::events), [`mentions`](Agent::mentions)); the rooms are joined
    /// on a thread of the agent's, and no loop waits for that. A room that does not let the agent in is an
    /// [`Event::JoinFailed`].
    ///
    /// Agencies that the agent is a member of already are for [`join_all`](Agent::join_all).
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.follow_invites()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of the REST call for the agencies that the agent is a member of now.
    pub fn follow_invites(&self) -> Result<()> {
        self.begin_to_follow_invites()
    }

    /// The rooms that the agent is in, direct messages included, in the order they were joined.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for room in agent.rooms() {
    ///     println!("{:?}", room.name());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn rooms(&self) -> Vec<Room> {
        self.joined_rooms()
    }

    /// The room that a message was said in: to read what was said before it, to run commands there, to say more than
    /// one [`reply`](Agent::reply).
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// let before = agent.room_of(msg).recent(20)?;
    /// # let _ = before;
    /// # Ok(()) }
    /// ```
    pub fn room_of(&self, message: &Message) -> Room {
        self.room_said_in(message)
    }

    /// The room that [`send`](Agent::send) speaks in: that of [`connect_and_join`](Agent::connect_and_join), or the one
    /// that was [set](Agent::set_home). No other join changes it.
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// # let token = crustocean::AgentToken::from_env()?;
    /// let agent = crustocean::Agent::connect_and_join(token, "lobby")?;
    /// agent.join("elsewhere")?.send("hello, elsewhere")?;
    /// agent.send("hello, lobby")?;
    /// # Ok(()) }
    /// ```
    pub fn home(&self) -> Option<Room> {
        let id = self.inner.home.get()?;
        let about = self.inner.rooms.about(id).unwrap_or_default();
        Some(Room::new(self.clone(), id.clone(), about))
    }

    /// Makes a room the agent's [home](Agent::home), once and for all.
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::from_env()?;
    /// agent.set_home(&agent.join("lobby")?)?;
    /// agent.send("hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when another room is the home already.
    pub fn set_home(&self, room: &Room) -> Result<()> {
        if self.inner.home.get_or_init(|| room.id().clone()) == room.id() {
            return Ok(());
        }
        Err(Error::invalid("another room is this agent's home: speak in this one with room.send(..)"))
    }

    /// What happens, in order: all that has happened since the agent connected and nobody has taken yet.
    ///
    /// All loops over an agent's events and [`mentions`](Agent::mentions) share one queue: each event goes to one of
    /// them. A loop over `events` beside one over `mentions` takes mentions away from it; use one or the other.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for event in agent.events() {
    ///     println!("{:?}", event?);
    /// }
    /// # Ok(()) }
    /// ```
    #[doc(alias = "on")]
    #[doc(alias = "onDirectMessage")]
    pub fn events(&self) -> Events {
        Events::new(self.clone())
    }

    /// The messages that are for this agent to answer, in order: all since it connected that nobody has taken yet.
    ///
    /// It shares one queue with [`events`](Agent::events): each message goes to one loop only. A loop over `events`
    /// beside this one takes mentions away from it; use one or the other.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for question in agent.mentions() {
    ///     agent.reply(&question?, "42")?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn mentions(&self) -> Mentions {
        Mentions::new(self.clone())
    }

    /// Whether a message is for this agent to answer: it mentions the agent's exact handle (`@larry` is not
    /// `@larry_lobster`) or is a direct message, is neither the agent's own nor the platform's, and its loop guard
    /// allows one more hop.
    ///
    /// A post of a hook that mentions the agent is to be answered (docs.crustocean.chat, page "Autonomous workflows").
    /// The platform's own words, such as the result of `/who`, are not: they have the type `system`. The answer of a
    /// hook to somebody's command cannot be told from a post of that hook, unless it has that type, too; to a command of
    /// the agent's own it can.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// if agent.should_respond(msg) {
    ///     agent.reply(msg, "yes?")?;
    /// }
    /// # Ok(()) }
    /// ```
    #[doc(alias = "shouldRespond")]
    pub fn should_respond(&self, message: &Message) -> bool {
        self.decide(message) == Decision::Respond
    }

    /// As [`should_respond`](Agent::should_respond), with the reason.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// println!("{:?}", agent.decide(msg));
    /// # Ok(()) }
    /// ```
    #[doc(alias = "shouldRespondWithGuard")]
    pub fn decide(&self, message: &Message) -> Decision {
        self.decision(message)
    }

    /// Answers a message in the room that it came from, and carries its loop guard on: one hop more.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// agent.reply(msg, "hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Agent::send).
    pub fn reply(&self, to: &Message, message: impl Into<Outgoing>) -> Result<()> {
        self.send_to(&to.agency_id, &message.into().in_reply_to(to))
    }

    /// Speaks in the agent's [home room](Agent::home). Returns once the message is handed to the operating system; waits for a
    /// lost connection to come back, up to the [`send_timeout`](crate::agent::AgentBuilder::send_timeout). A text over 8,000
    /// characters goes out as several messages, unless [`long_messages`](crate::agent::AgentBuilder::long_messages) says
    /// otherwise.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.send("hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`NotSent`](crate::ErrorKind::NotSent): the connection did not come back in time. Certainly not sent.
    /// - [`MaybeSent`](crate::ErrorKind::MaybeSent): the connection broke in the middle, or between the parts of a long
    ///   message. It is never repeated by this crate.
    /// - [`Invalid`](crate::ErrorKind::Invalid): no text, larger than the server takes, or no home room.
    /// - [`Closed`](crate::ErrorKind::Closed): the agent was closed.
    pub fn send(&self, message: impl Into<Outgoing>) -> Result<()> {
        self.send_to(self.home_room()?, &message.into())
    }

    /// As [`send`](Agent::send), but waits neither for a lost connection nor for a server that does not read. Over long-polling
    /// it waits for the answer to its own request.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.try_send("now or never")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Agent::send); [`NotSent`](crate::ErrorKind::NotSent) at once when the connection is down or busy.
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<()> {
        self.try_send_to(self.home_room()?, &message.into())
    }

    /// Speaks in the agent's [home room](Agent::home) and waits until the message has been seen there: the confirmed form of
    /// [`send`](Agent::send). Returns the message as the room has it, with its id; of a text that is too long for one
    /// message, all parts.
    ///
    /// If the connection breaks in between, the room settles the matter after the reconnect. To be known again the
    /// message carries a key `post_id` in its metadata.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let posted = agent.post("hello")?;
    /// println!("it is message {}", posted.first.id);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// All but [`Invalid`](crate::ErrorKind::Invalid) carry what is left to be sent, for [`repost`](Agent::repost):
    /// [`Error::unsent`](crate::Error::unsent).
    ///
    /// - [`NotSent`](crate::ErrorKind::NotSent): it is not in the room, and cannot arrive there any more.
    /// - [`MaybeSent`](crate::ErrorKind::MaybeSent): the connection broke. The message is not in the room, but what was
    ///   sent over the old connection may still arrive; or the history that would tell cannot be read; or a part of a
    ///   long message is there.
    /// - [`Rejected`](crate::ErrorKind::Rejected): the server complained, in these words, and the message did not show. (The
    ///   server does not say what a complaint is about.)
    /// - [`Timeout`](crate::ErrorKind::Timeout): handed over, but not seen within the
    ///   [`post_timeout`](crate::agent::AgentBuilder::post_timeout).
    /// - [`Closed`](crate::ErrorKind::Closed): the agent was closed. If it was closed meanwhile, the message may have
    ///   arrived ([`Unsent::is_in_doubt`](crate::agent::Unsent::is_in_doubt)).
    pub fn post(&self, message: impl Into<Outgoing>) -> Result<Posted> {
        self.post_to(self.home_room()?, message.into())
    }

    /// Posts what is left of a message that could not be confirmed, without ever saying anything twice: looks in the
    /// room first, waits until what was sent before cannot arrive any more, and sends only what is not there. Returns all
    /// parts, also those that were there.
    ///
    /// A connection that broke here may live on in the network, and deliver late. The server ends its session when it
    /// has heard nothing for `pingInterval` and `pingTimeout`, usually 45 s: that is the longest this waits (and 2
    /// minutes if the server has other ideas), besides what [`post`](crate::Room::post) takes.
    ///
    /// If the error was a [`Timeout`](crate::ErrorKind::Timeout), the server took the message and has not shown it. It is
    /// looked for and then sent again. Should it come late nevertheless, both have the same `post_id` in their metadata.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let posted = match room.post("order 17: two crabs, please") {
    ///     Ok(posted) => posted,
    ///     Err(error) => match error.unsent() {
    ///         Some(unsent) => agent.repost(unsent)?,
    ///         None => return Err(error),
    ///     },
    /// };
    /// # let _ = posted;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Room::post`](crate::Room::post), with what is left now.
    pub fn repost(&self, unsent: &Unsent) -> Result<Posted> {
        self.post_parts(unsent.clone())
    }

    /// Gives one of the agent's own messages a new text; what else it carries stays. Returns once that is handed to the
    /// operating system; [`post_edit`](Agent::post_edit) waits until the room shows it.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let mine = agent.post("draft")?.first;
    /// agent.edit(&mine, "final")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Agent::send). That the message is not the agent's own shows as
    /// [`Event::ServerError`].
    pub fn edit(&self, message: &Message, text: impl AsRef<str>) -> Result<()> {
        self.edit_in(&message.agency_id, &message.id, text.as_ref())
    }

    /// Gives one of the agent's own messages a new text and waits until the room shows it: the confirmed form of
    /// [`edit`](Agent::edit). Returns what the room was told; the server may have changed the text.
    ///
    /// If the connection breaks meanwhile, the edit is sent again: it says what the text is, so twice does no harm.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let mine = agent.post("draft")?.first;
    /// let shown = agent.post_edit(&mine, "final")?;
    /// println!("{}", shown.content);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Invalid`](crate::ErrorKind::Invalid): no text, or too much for one message.
    /// - [`Rejected`](crate::ErrorKind::Rejected): the server complained, in these words, and the edit did not show: the message
    ///   is not the agent's own, for one. (The server does not say what a complaint is about.)
    /// - [`NotSent`](crate::ErrorKind::NotSent), [`MaybeSent`](crate::ErrorKind::MaybeSent): the connection did not come back within the
    ///   [`send_timeout`](crate::agent::AgentBuilder::send_timeout).
    /// - [`Timeout`](crate::ErrorKind::Timeout): handed over, but not seen within the
    ///   [`post_timeout`](crate::agent::AgentBuilder::post_timeout).
    pub fn post_edit(&self, message: &Message, text: impl AsRef<str>) -> Result<MessageEdited> {
        self.post_edit_in(&message.agency_id, &message.id, text.as_ref())
    }

    /// The agent's direct-message conversations.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for conversation in agent.dms()? {
    ///     println!("with {}", conversation.participant.username);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of any REST call.
    #[doc(alias = "getDMs")]
    pub fn dms(&self) -> Result<List<Conversation>> {
        self.conversations()
    }

    /// Joins the rooms of all direct-message conversations there are now, all at once, so that their messages arrive as
    /// events.
    ///
    /// The platform does not announce a conversation that somebody begins later: [`follow_dms`](Agent::follow_dms)
    /// looks for them.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.join_dms()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`join_all`](Agent::join_all), with the same [`Event::JoinFailed`] for a single one.
    #[doc(alias = "joinDMs")]
    pub fn join_dms(&self) -> Result<Vec<Room>> {
        self.join_conversations()
    }

    /// Joins the direct-message conversations there are, as [`join_dms`](Agent::join_dms) does, and from now on looks
    /// for new ones every so often (from a second to a day; 30 s is a good measure): the platform does not announce them.
    /// What was said in a new one before it was found comes as [`replayed`](crate::Message::replayed) messages, the last
    /// 50 at most.
    ///
    /// Somebody has to take events for it, as with [`follow_invites`](Agent::follow_invites): a REST call each time, on a
    /// thread of the agent's.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.follow_dms(std::time::Duration::from_secs(30))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`join_dms`](Agent::join_dms). Later failures are logged and tried again.
    pub fn follow_dms(&self, every: Duration) -> Result<()> {
        self.begin_to_follow_dms(every)
    }

    /// The conversation with a user (`alice` or `@alice`), begun if there is none, and joined.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.open_dm("alice")?.send("psst")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such user; else as [`join`](Agent::join).
    pub fn open_dm(&self, username: &str) -> Result<Room> {
        self.open_conversation(username)
    }

    /// Sends a direct message in a conversation's room ([`Conversation::agency_id`](crate::model::Conversation::agency_id)),
    /// which is joined first if it has not been.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let conversation = &agent.dms()?[0];
    /// agent.send_dm(&conversation.agency_id, "psst")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Agent::send) and [`join`](Agent::join).
    #[doc(alias = "sendDM")]
    pub fn send_dm(&self, room: &AgencyId, message: impl Into<Outgoing>) -> Result<()> {
        self.speak_in_conversation(room, message.into())
    }

    /// REST as this agent, as far as agents may. Its session is renewed when it runs out.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let explored = agent.client().explore().agents().send()?;
    /// # let _ = explored;
    /// # Ok(()) }
    /// ```
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Events of any name, for what this crate has no method for yet.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.raw().emit("brand-new", &1)?;
    /// # Ok(()) }
    /// ```
    pub fn raw(&self) -> Raw<'_> {
        Raw(self)
    }

    /// If the connection is down: dials again now, instead of when the next try is due.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.reconnect_now();
    /// # Ok(()) }
    /// ```
    pub fn reconnect_now(&self) {
        self.inner.session.reconnect_now();
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
    /// ```no_run
    /// # fn demo(agent: crustocean::Agent) -> crustocean::Result<()> {
    /// agent.close()?;
    /// # Ok(()) }
    /// ```
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

/// For the rest of the agent.
impl Agent {
    pub(crate) fn open(config: &Config, options: AgentOptions, token: AgentToken) -> Result<Self> {
        options.transport.check()?;
        let url = config.url()?;
        let dialer = config.dialer()?;
        let http = config.http_with(dialer.clone())?;
        let secrets = http.secrets().clone();
        let account = AgentSession::exchange(http.clone(), token)?;
        let me = account.user();
        let client = Client::for_agent(http, Arc::clone(&account));
        let rooms = Arc::new(Rooms::default());
        let thoughts = Arc::new(Thoughts::default());
        let host = RoomsHost {
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
        let session = Session::open(&name, target, Arc::new(host), limits, options.policy)?;
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
}
