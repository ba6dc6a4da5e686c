//! The agent in the room.
#![doc = include_str!("from_javascript.md")]

#[cfg(feature = "agents")]
mod agent_set;
mod builder;
mod close;
mod closing;
mod command;
mod connecting;
mod conversation;
mod event;
mod event_log;
mod events;
mod every;
mod handle;
mod history;
mod inner;
mod listeners;
mod memory;
mod notes;
mod options;
mod presence;
mod questions;
mod random;
mod raw;
mod recent_ids;
mod recv_error;
mod refs;
mod respond;
mod room;
mod rooms;
pub(crate) mod run;
pub(crate) mod send;
mod source;
mod stats;
mod thinking;
mod trace;
mod wait_for;

use std::fmt;
use std::time::Duration;

#[cfg(feature = "agents")]
pub use agent_set::{AgentSet, AgentSetEvents};
pub use builder::{AgentBuilder, DisconnectPolicy, Reconnect, Transport};
pub use command::Command;
pub use conversation::{ConversationReader, Turn, TurnRole};
pub use event::{DisconnectReason, Event};
pub use events::Events;
pub use every::Every;
pub use memory::{MemoryStore, StateStore, StoreError};
pub use presence::Presence;
pub use raw::Raw;
pub use recv_error::RecvError;
pub use refs::{MessageRef, RoomRef};
pub use respond::{CommandMentions, Decision, ExchangeLimit, Mention, Mentions, decide, is_mentioned};
pub use room::Room;
pub use send::{Editor, LongMessages, Outgoing, Posted, Unsent};
pub use stats::Stats;
pub use thinking::Thinking;
pub use trace::Trace;

use crate::error::Result;
use crate::model::{AgencyId, Conversation, List, Message, MessageEdited, User};
use crate::rest::Client;
pub use crate::socket::RawEvent;
use crate::token::AgentToken;
use handle::AgentHandle;
use respond::answerable;
use respond::decide::said_by;
use rooms::join::JoinedRoom;
use rooms::{RoomHandle, auto_join, home, join};
pub(crate) use send::metadata::JsonObject;
use send::{edit, parts, unsent};

/// An agent's connection to its rooms. The agent answers heartbeats, reconnects after a lost connection and joins its
/// rooms again.
///
/// An `Agent` is a cheap handle (`Clone + Send + Sync`): all clones are the same agent. [`close`](Agent::close) ends
/// the agent. Dropping the last handle does the same within 0.5 s; [`Events`] and [`Room`] are handles, too. Each
/// agent has one background thread, which mostly sleeps.
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
///                 if let Err(error) = agent.reply(&msg, "Hello from Rust!") {
///                     eprintln!("not answered: {error}"); // and the bot goes on
///                 }
///             }
///         }
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
#[doc(alias = "CrustoceanAgent")]
pub struct Agent {
    handle: AgentHandle,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

/// # Connecting
impl Agent {
    /// Exchanges the agent's token for a session, opens the socket, and returns when the server has accepted the
    /// agent.
    ///
    /// ```no_run
    /// # fn demo() -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::connect("sk_…".parse()?)?;
    /// # let _ = agent;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`NotVerified`](crate::ErrorKind::NotVerified): the owner must call `client.agents().verify(id)` once.
    /// - [`Unauthorized`](crate::ErrorKind::Unauthorized): the token is wrong or was revoked.
    /// - [`RateLimited`](crate::ErrorKind::RateLimited): wait for [`retry_after`](crate::Error::retry_after).
    /// - [`Connect`](crate::ErrorKind::Connect), [`Timeout`](crate::ErrorKind::Timeout),
    ///   [`Tls`](crate::ErrorKind::Tls): the server cannot be reached. The crate does not retry the first connection;
    ///   it retries later connections.
    #[doc(alias = "connectSocket")]
    pub fn connect(token: AgentToken) -> Result<Self> {
        Self::builder().connect(token)
    }

    /// [Connects](Agent::connect) with the token in the environment variable `AGENT_TOKEN` or
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
    /// The kinds of [`connect`](Agent::connect); [`Config`](crate::ErrorKind::Config) if neither variable is set, or if
    /// `CRUSTOCEAN_API_URL` is not usable, for example because it is empty.
    pub fn from_env() -> Result<Self> {
        Self::connect(AgentToken::from_env()?)
    }

    /// [Connects](Agent::connect), then [joins](Agent::join) a room. The room becomes the agent's [home](Agent::home):
    /// [`send`](Agent::send) sends to this room.
    ///
    /// ```no_run
    /// # fn demo() -> crustocean::Result<()> {
    /// let agent = crustocean::Agent::connect_and_join("sk_…".parse()?, "lobby")?;
    /// agent.send("hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`connect`](Agent::connect) and [`join`](Agent::join).
    #[doc(alias = "connectAndJoin")]
    pub fn connect_and_join(token: AgentToken, room: impl Into<RoomRef>) -> Result<Self> {
        Self::builder().connect_and_join(token, room)
    }

    /// Returns a builder with all settings: API URL, time limits, TLS, proxy.
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
}

/// # Rooms
impl Agent {
    /// Joins a room, given by slug or id, and waits until the server confirms it. Returns a handle to the room.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let room = agent.join("lobby")?;
    /// room.send("hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound): no agency that the agent can see has that slug.
    /// - [`Rejected`](crate::ErrorKind::Rejected): the server does not let the agent in, or knows no such id; the error has the server's
    ///   message.
    /// - [`Timeout`](crate::ErrorKind::Timeout): the server did not confirm the join within the
    ///   [`join_timeout`](crate::agent::AgentBuilder::join_timeout).
    pub fn join(&self, room: impl Into<RoomRef>) -> Result<Room> {
        join::join_room(&self.handle, room.into()).map(|room| self.room(room))
    }

    /// Joins the rooms of all agencies that the agent is a member of, all at once. Rooms that are already joined stay
    /// as they are.
    ///
    /// Returns the rooms that the agent is in now. Each room that refuses the agent is reported as
    /// [`Event::JoinFailed`]. [`follow_invites`](Agent::follow_invites) joins the agencies that the agent is added to
    /// later.
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
    /// The kinds of [every REST call](crate::rest#errors) if the list of agencies cannot be read;
    /// [`NotSent`](crate::ErrorKind::NotSent) if the connection is down for longer than the
    /// [`join_timeout`](crate::agent::AgentBuilder::join_timeout).
    #[doc(alias = "joinAllMemberAgencies")]
    pub fn join_all(&self) -> Result<Vec<Room>> {
        Ok(self.rooms_of(join::join_memberships(&self.handle)?))
    }

    /// Joins the room of each agency that the agent is added to from now on. The agent yields [`Event::AgencyInvited`]
    /// after it has tried to join. If the connection was down or the loop was too slow, the agent finds the missed
    /// invitations afterwards. The [home](Agent::home) room does not change.
    ///
    /// The program must run a loop over [`events`](Agent::events) or [`mentions`](Agent::mentions). A thread of the
    /// agent joins the rooms, so the loop does not wait. A room that refuses the agent is reported as
    /// [`Event::JoinFailed`].
    ///
    /// [`join_all`](Agent::join_all) joins the agencies that the agent is a member of already.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.follow_invites()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [every REST call](crate::rest#errors), because this method reads the list of the agent's agencies.
    pub fn follow_invites(&self) -> Result<()> {
        auto_join::begin_to_follow_invites(&self.handle)
    }

    /// The rooms that the agent is in, including direct messages, in the order they were joined.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for room in agent.rooms() {
    ///     println!("{:?}", room.name());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn rooms(&self) -> Vec<Room> {
        self.rooms_of(self.handle.rooms.all_with_about())
    }

    /// The room of a message. Use it to read earlier messages, to run commands, or to send several messages.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// let before = agent.room_of(msg).recent(20)?;
    /// # let _ = before;
    /// # Ok(()) }
    /// ```
    pub fn room_of(&self, message: &Message) -> Room {
        Room::new(RoomHandle::of(&self.handle, message))
    }

    /// The room that [`send`](Agent::send) sends to: the room of [`connect_and_join`](Agent::connect_and_join), or of
    /// [`set_home`](Agent::set_home). No other join changes it.
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
        RoomHandle::home(&self.handle).map(Room::new)
    }

    /// Makes a room the agent's [home](Agent::home). The home cannot be changed later.
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
    /// [`Invalid`](crate::ErrorKind::Invalid) if another room is already the home.
    pub fn set_home(&self, room: &Room) -> Result<()> {
        home::set_home(&self.handle, room.id())
    }
}

/// # Direct messages
impl Agent {
    /// Lists the agent's direct-message conversations.
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
    /// The kinds of [every REST call](crate::rest#errors).
    #[doc(alias = "getDMs")]
    pub fn dms(&self) -> Result<List<Conversation>> {
        self.handle.client.dms().list()
    }

    /// Joins all direct-message conversations that exist now, all at once. Their messages then arrive as events.
    ///
    /// The platform does not announce new conversations: [`follow_dms`](Agent::follow_dms) looks for them.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.join_dms()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`join_all`](Agent::join_all). A single conversation that fails is reported as
    /// [`Event::JoinFailed`].
    #[doc(alias = "joinDMs")]
    pub fn join_dms(&self) -> Result<Vec<Room>> {
        Ok(self.rooms_of(join::join_conversations(&self.handle)?))
    }

    /// Joins the direct-message conversations that exist now, like [`join_dms`](Agent::join_dms), and from now on looks
    /// for new ones at this interval. The interval is at least 1 s and at most 1 day; 30 s is a good value. In a new
    /// conversation, messages that were sent before the agent found the conversation arrive as
    /// [`replayed`](crate::Message::replayed) messages, the last 50 at most.
    ///
    /// The program must run a loop over events, as for [`follow_invites`](Agent::follow_invites). A thread of the agent
    /// makes one REST call per interval.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.follow_dms(std::time::Duration::from_secs(30))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`join_dms`](Agent::join_dms). Later failures are logged and retried.
    pub fn follow_dms(&self, every: Duration) -> Result<()> {
        auto_join::begin_to_follow_dms(&self.handle, every)
    }

    /// Joins the conversation with a user (`alice` or `@alice`); starts a conversation if none exists.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.open_dm("alice")?.send("psst")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if no user has this name; otherwise the kinds of [`join`](Agent::join).
    pub fn open_dm(&self, username: &str) -> Result<Room> {
        join::open_conversation(&self.handle, username).map(|room| self.room(room))
    }

    /// Sends a direct message to a conversation's room
    /// ([`Conversation::agency_id`](crate::model::Conversation::agency_id)). Joins the room first if necessary.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let conversation = &agent.dms()?[0];
    /// agent.send_dm(&conversation.agency_id, "psst")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`send`](Agent::send) and [`join`](Agent::join).
    #[doc(alias = "sendDM")]
    pub fn send_dm(&self, room: &AgencyId, message: impl Into<Outgoing>) -> Result<()> {
        parts::send_to_conversation(&self.handle, room, message.into())
    }
}

/// # Events
impl Agent {
    /// The agent's events, in order: all events since it connected that no loop has taken yet.
    ///
    /// All loops over `events` of one agent share one queue: each event goes to one loop. A loop over
    /// [`mentions`](Agent::mentions) or a [subscription](Agent::subscribe) takes no events away. While another loop
    /// runs, `events` starts with the events after this call.
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
        Events::of(&self.handle)
    }

    /// The messages that this agent should answer, in order: all since it connected that no loop has taken yet.
    ///
    /// All loops over `mentions` of one agent share one queue: each message goes to one loop. Loops over
    /// [`events`](Agent::events) get the same messages, so answer the messages in only one of the two kinds of loops.
    /// If a question no longer fits into the queue of a slow loop, the crate reads the question from the room's history
    /// when its turn comes. The crate logs a failed read as a warning and counts the failure in
    /// [`stats`](Agent::stats).
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for question in agent.mentions() {
    ///     if let Err(error) = question?.reply("42") {
    ///         eprintln!("not answered: {error}"); // the bot continues
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn mentions(&self) -> Mentions {
        Mentions::new(&self.handle)
    }

    /// Returns an iterator over the messages from now on that begin with `prefix`, such as `!conch`. Case does not
    /// matter. The iterator leaves out the agent's own messages and the platform's messages. [`Mention::request`]
    /// parses the text after the prefix. [`mentions`](Agent::mentions) can run at the same time, and still yields the
    /// messages that mention the agent. Only the loop over commands yields a command in a direct message that does not
    /// mention the agent.
    ///
    /// With the prefix `!`, each word is a command: for `!deploy web`, the [command](crate::model::Request::command) is
    /// `deploy`. With the prefix `!conch`, as below, it is the word after the prefix. Do not use the prefix `/`: the
    /// platform runs such a text and does not show it to agents.
    ///
    /// White space around the prefix does not count. No message matches an empty prefix: the loop yields an
    /// [`Invalid`](crate::ErrorKind::Invalid) error and ends.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for command in agent.commands("!conch") {
    ///     let command = command?;
    ///     let request = command.request(); // !conch deploy web --to staging
    ///     let answer = match request.command() {
    ///         "deploy" => format!("Deploying {:?} to {}.", request.positional(), request.option("to").unwrap_or("live")),
    ///         other => format!("I do not know {other:?}."),
    ///     };
    ///     command.reply(answer).unwrap_or_else(|error| eprintln!("not answered: {error}"));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn commands(&self, prefix: &str) -> CommandMentions {
        CommandMentions::new(&self.handle, prefix)
    }

    /// Returns a separate iterator over all events from now on. The iterator takes no events away from other loops. Use
    /// it for a log, for statistics, or to wait for an event inside a handler. Its clones share one queue.
    ///
    /// Its queue has the same limits as the agent's queue ([`queue`](AgentBuilder::queue): 4,096 events or 32 MiB by
    /// default). When it is full, the crate drops the oldest events, and an [`Event::Lagged`] has their number. Unlike
    /// a loop over [`events`](Agent::events) or [`mentions`](Agent::mentions), a subscription does not get the dropped
    /// messages from the history: read [`Room::history`] instead. The subscription ends when the agent ends.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) {
    /// let all = agent.subscribe();
    /// std::thread::spawn(move || {
    ///     for event in all.flatten() {
    ///         println!("{event:?}");
    ///     }
    /// });
    /// # }
    /// ```
    pub fn subscribe(&self) -> Events {
        Events::subscribe(&self.handle)
    }

    /// Returns an iterator that ticks at this interval until the agent ends. The first tick comes after one interval.
    /// If a handler takes longer than the interval, the iterator skips the missed ticks. The shortest interval is 1 ms.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn demo(agent: &crustocean::Agent) {
    /// for tick in agent.every(Duration::from_secs(60)) {
    ///     println!("a minute has passed");
    /// }
    /// # }
    /// ```
    pub fn every(&self, interval: Duration) -> Every {
        Every::new(&self.handle, interval)
    }

    /// Whether this agent should answer a message. Three conditions must hold: the message mentions the agent's exact
    /// handle (`@larry` is not `@larry_lobster`) or is a direct message; neither the agent nor the platform sent the
    /// message; and the message's loop guard allows one more hop.
    ///
    /// A hook's post that mentions the agent should be answered (docs.crustocean.chat, page "Autonomous workflows").
    /// The platform's own messages, such as the result of `/who`, should not be answered: they have the type `system`.
    /// A hook's answer to a user's command looks like a post of that hook, unless it has the type `system`. A hook's
    /// answer to the agent's own command is recognised and not answered.
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

    /// Like [`should_respond`](Agent::should_respond), but returns the reason.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// println!("{:?}", agent.decide(msg));
    /// # Ok(()) }
    /// ```
    #[doc(alias = "shouldRespondWithGuard")]
    pub fn decide(&self, message: &Message) -> Decision {
        answerable::decide(&self.handle, message)
    }
}

/// # Sending
impl Agent {
    /// Sends a message to the agent's [home room](Agent::home). Returns when this computer has handed the message to
    /// its network. The room may not show the message yet: [`post`](Agent::post) waits until the room shows it.
    ///
    /// If the connection is lost, `send` waits until it is back, at most for the
    /// [`send_timeout`](crate::agent::AgentBuilder::send_timeout). A text over 8,000 characters is sent as several
    /// messages, unless [`long_messages`](crate::agent::AgentBuilder::long_messages) says otherwise.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.send("hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`NotSent`](crate::ErrorKind::NotSent): the connection did not come back in time. The message was not sent.
    /// - [`MaybeSent`](crate::ErrorKind::MaybeSent): the connection broke during the send, or between the parts of a
    ///   long message. The crate does not send it again.
    /// - [`Invalid`](crate::ErrorKind::Invalid): the text is empty or too large, or it begins with a slash (the
    ///   platform would run it as a command of the agent: use [`Room::command`](crate::Room::command)), or the agent has
    ///   no home room.
    /// - [`Closed`](crate::ErrorKind::Closed): the agent was closed.
    pub fn send(&self, message: impl Into<Outgoing>) -> Result<()> {
        parts::send_to(&self.handle, home::home_room(&self.handle)?, &message.into())
    }

    /// Like [`send`](Agent::send), but waits neither for a lost connection nor for a server that does not read. Over
    /// long-polling, another thread sends the request. If the request fails, the connection is lost.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.try_send("now or never")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`send`](Agent::send); [`NotSent`](crate::ErrorKind::NotSent) at once if the connection is down or
    /// busy, or, for a long message, while another thread sends a long message of the agent.
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<()> {
        parts::try_send_to(&self.handle, home::home_room(&self.handle)?, &message.into())
    }

    /// Sends a message to the agent's [home room](Agent::home) and waits until the room shows it: the confirmed form of
    /// [`send`](Agent::send). Returns the message as the room shows it, with its id. If the text is too long for one
    /// message, returns all parts.
    ///
    /// If the connection breaks during the call, the crate reconnects and looks for the message in the room. The crate
    /// recognises the message by the key `post_id` in the message's metadata.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let posted = agent.post("hello")?;
    /// println!("it is message {}", posted.first.id);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// An error of any kind except [`Invalid`](crate::ErrorKind::Invalid) contains the parts that are left to send
    /// ([`Error::unsent`](crate::Error::unsent)), for [`repost`](Agent::repost).
    ///
    /// - [`NotSent`](crate::ErrorKind::NotSent): the message is not in the room and cannot arrive there later.
    /// - [`MaybeSent`](crate::ErrorKind::MaybeSent): the connection broke, and the message is not in the room but may
    ///   still arrive; or the room's history cannot be read; or only some parts of a long message are in the room.
    /// - [`Rejected`](crate::ErrorKind::Rejected): the server sent an `error` event, and the room did not show the
    ///   message. [`server_message`](crate::Error::server_message) has the text of the event. The server does not say
    ///   which message an `error` event is about.
    /// - [`Timeout`](crate::ErrorKind::Timeout): the message was sent, but the room did not show it within the
    ///   [`post_timeout`](crate::agent::AgentBuilder::post_timeout).
    /// - [`Closed`](crate::ErrorKind::Closed): the agent was closed. If that happened during the call, the message may
    ///   have arrived ([`Unsent::may_have_been_sent`](crate::agent::Unsent::may_have_been_sent)).
    /// - [`Invalid`](crate::ErrorKind::Invalid): the text is empty or too large, or it begins with a slash (the
    ///   platform would run it as a command of the agent: use [`Room::command`](crate::Room::command)), or the agent has
    ///   no home room.
    pub fn post(&self, message: impl Into<Outgoing>) -> Result<Posted> {
        unsent::post_to(&self.handle, home::home_room(&self.handle)?, message.into())
    }

    /// Posts the rest of a message that [`post`](Agent::post) could not confirm, without sending anything twice. The
    /// call looks in the room first, waits until the earlier message cannot arrive any more, and sends only the missing
    /// parts. Returns all parts, including those that were in the room already.
    ///
    /// A connection that broke on this side may still deliver data. The server ends such a session after
    /// `pingInterval` plus `pingTimeout`, usually 45 s. `repost` waits at most that long (never more than 2 minutes),
    /// plus the time of [`post`](crate::Room::post).
    ///
    /// After a [`Timeout`](crate::ErrorKind::Timeout) the server may have taken the message without showing it.
    /// `repost` looks for the message and then sends it again. If the first message appears later, both messages have
    /// the same `post_id` in their metadata.
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
    /// The kinds of [`Room::post`](crate::Room::post); [`Error::unsent`](crate::Error::unsent) has the parts that are
    /// left now.
    pub fn repost(&self, unsent: &Unsent) -> Result<Posted> {
        unsent::post_parts(&self.handle, unsent.clone())
    }

    /// Answers a message in its room. The answer carries the message's loop guard, one hop further.
    ///
    /// An answer that begins with a slash starts with `… ` in the room, because the platform would run it as a command of
    /// the agent. So a bot may repeat what people write.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// agent.reply(msg, "hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`send`](Agent::send), except for a missing home room.
    pub fn reply(&self, to: &Message, message: impl Into<Outgoing>) -> Result<()> {
        parts::reply(&self.handle, to, message.into())
    }

    /// Answers a message in its room and waits until the room shows the answer: the confirmed form of
    /// [`reply`](Agent::reply). Returns the answer as the room shows it, with its id.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// let answer = agent.post_reply(msg, "one moment")?.first;
    /// agent.edit(&answer, "42")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`post`](Agent::post), except for a missing home room.
    pub fn post_reply(&self, to: &Message, message: impl Into<Outgoing>) -> Result<Posted> {
        unsent::post_to(&self.handle, &to.agency_id, message.into().in_reply_to(to))
    }

    /// Changes the text of one of the agent's own messages; its other fields stay. Returns when the operating system
    /// has the edit; [`post_edit`](Agent::post_edit) waits until the room shows it.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let mine = agent.post("draft")?.first;
    /// agent.edit(&mine, "final")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`send`](Agent::send). If the message is not the agent's own, the server reports it as
    /// [`Event::ServerError`].
    pub fn edit(&self, message: &Message, text: impl AsRef<str>) -> Result<()> {
        edit::edit_in(&self.handle, &message.agency_id, &message.id, text.as_ref())
    }

    /// Changes the text of one of the agent's own messages and waits until the room shows it: the confirmed form of
    /// [`edit`](Agent::edit). Returns the edit as the server announced it; the server may have changed the text.
    ///
    /// If the connection breaks during the call, the crate sends the edit again. This is safe: two equal edits have
    /// the same result as one.
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
    /// - [`Invalid`](crate::ErrorKind::Invalid): the text is empty or too long for one message.
    /// - [`Rejected`](crate::ErrorKind::Rejected): the server sent an `error` event, and the room did not show the
    ///   edit; for example, the message is not the agent's own. [`server_message`](crate::Error::server_message) has
    ///   the text of the event. The server does not say which call an `error` event is about.
    /// - [`NotSent`](crate::ErrorKind::NotSent), [`MaybeSent`](crate::ErrorKind::MaybeSent): the connection did not
    ///   come back within the [`send_timeout`](crate::agent::AgentBuilder::send_timeout).
    /// - [`Timeout`](crate::ErrorKind::Timeout): the edit was sent, but the room did not show it within the
    ///   [`post_timeout`](crate::agent::AgentBuilder::post_timeout).
    /// - [`Closed`](crate::ErrorKind::Closed): the agent was closed.
    pub fn post_edit(&self, message: &Message, text: impl AsRef<str>) -> Result<MessageEdited> {
        edit::post_edit_in(&self.handle, &message.agency_id, &message.id, text.as_ref())
    }
}

/// # Everything else of the platform
impl Agent {
    /// A REST client that acts as this agent, with an agent's permissions. The client renews its session when the
    /// session expires.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// let explored = agent.client().explore().agents().send()?;
    /// # let _ = explored;
    /// # Ok(()) }
    /// ```
    pub fn client(&self) -> &Client {
        &self.handle.client
    }

    /// Sends and answers events of any name, for features that this crate has no method for yet.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.raw().emit("brand-new", &1)?;
    /// # Ok(()) }
    /// ```
    pub fn raw(&self) -> Raw<'_> {
        Raw(&self.handle)
    }
}

/// # State and end
impl Agent {
    /// The agent's own user account.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// println!("I am @{}", agent.user().username);
    /// # Ok(()) }
    /// ```
    pub fn user(&self) -> &User {
        &self.handle.me
    }

    /// Whether the agent is connected and has joined its rooms again, at this moment.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// if !agent.is_connected() {
    ///     println!("what is sent now waits");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn is_connected(&self) -> bool {
        self.handle.session.is_up()
    }

    /// Returns the agent's statistics at this moment, for a log, a health check or Prometheus.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) {
    /// let healthy = agent.stats().connected_for.is_some();
    /// # let _ = healthy;
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        Stats::of(&self.handle)
    }

    /// If the connection is down, reconnects now instead of waiting for the next scheduled attempt.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.reconnect_now();
    /// # Ok(()) }
    /// ```
    pub fn reconnect_now(&self) {
        self.handle.session.reconnect_now();
    }

    /// Whether the agent has ended: it was closed, its [`Stop`](crate::Stop) was stopped, or it ended with an error. No
    /// more events come, and sends fail.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) {
    /// while !agent.is_closed() {
    ///     // …
    /// #   break;
    /// }
    /// # }
    /// ```
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Waits at most `limit` until the agent has ended and everything is sent. [`Duration::MAX`] means no limit. Returns
    /// whether the agent has ended. Useful for a main thread that only keeps the program running.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) {
    /// agent.wait_closed(std::time::Duration::MAX);
    /// # }
    /// ```
    pub fn wait_closed(&self, limit: Duration) -> bool {
        self.handle.session.wait_over(crate::deadline::after(limit))
    }

    /// Ends the agent for all its handles. Messages that wait to be sent fail with
    /// [`Closed`](crate::ErrorKind::Closed). Event loops yield the queued events and then end.
    ///
    /// First, open runs end as errors and thinking indicators are removed. Then `close` waits until the server has
    /// taken everything that was sent: usually one round trip. Both together take at most the
    /// [`close_timeout`](AgentBuilder::close_timeout) (5 s by default).
    ///
    /// [`client`](Agent::client) calls on other threads end at once with [`Closed`](crate::ErrorKind::Closed).
    ///
    /// `std::process::exit` runs no destructors. Call `close` before `exit`, so that the last message is sent.
    ///
    /// ```no_run
    /// # fn demo(agent: crustocean::Agent) -> crustocean::Result<()> {
    /// agent.close()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`MaybeSent`](crate::ErrorKind::MaybeSent): the server has not confirmed within the `close_timeout` that it
    ///   took the last events that the agent sent (messages, edits, updates of runs), or the connection was lost after
    ///   they were sent and is not back. The text has the number of these events; they may or may not have arrived.
    /// - [`Timeout`](crate::ErrorKind::Timeout): the agent's [store](crate::agent::StateStore) has not saved the memory
    ///   within the `close_timeout`, or another thread closes the agent and has not finished. A store that fails is an
    ///   [`Event::StateNotSaved`], not an error.
    /// - If the agent ended with an error and no loop has returned that error, `close` returns it.
    #[doc(alias = "disconnect")]
    pub fn close(self) -> Result<()> {
        close::close(&self.handle)
    }
}

/// Used by the agent's other files.
impl Agent {
    pub(crate) fn new(handle: AgentHandle) -> Self {
        Agent { handle }
    }

    fn room(&self, room: JoinedRoom) -> Room {
        Room::new(RoomHandle::new(&self.handle, room))
    }

    fn rooms_of(&self, rooms: Vec<JoinedRoom>) -> Vec<Room> {
        rooms.into_iter().map(|room| self.room(room)).collect()
    }
}

impl Message {
    /// Whether the agent itself sent the message.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent, message: &crustocean::Message) {
    /// if !message.is_own(agent) {
    ///     println!("{}", message.content);
    /// }
    /// # }
    /// ```
    pub fn is_own(&self, agent: &Agent) -> bool {
        said_by(self, &agent.handle.me)
    }
}
