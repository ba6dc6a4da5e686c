//! What an agent says and does in its rooms.

use std::time::Duration;

use serde::Serialize;

use crate::agent::rooms::RoomInfo;
use crate::agent::send::outgoing::EditMessage;
use crate::agent::{Agent, Outgoing, Posted, Room};
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::{AgencyId, Message, MessageId};

impl Agent {
    /// Speaks in the agent's [home room](Agent::home). Returns once the message is handed to the operating system; waits for a
    /// lost connection to come back, up to the [`send_timeout`](crate::agent::AgentBuilder::send_timeout). A text over 8,000
    /// characters goes out as several messages, unless [`long_messages`](crate::agent::AgentBuilder::long_messages) says
    /// otherwise.
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

    /// Speaks in the agent's [home room](Agent::home) and waits until the message has been seen there: the confirmed form of
    /// [`send`](Agent::send). Returns the message as the room has it, with its id; of a text that is too long for one
    /// message, all parts.
    ///
    /// If the connection breaks in between, the room settles the matter after the reconnect. To be known again the
    /// message carries a key `post_id` in its metadata.
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

    /// As [`send`](Agent::send), but never waits for a lost connection.
    ///
    /// # Errors
    /// As [`send`](Agent::send); [`NotSent`](crate::ErrorKind::NotSent) at once when the connection is down or busy.
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<()> {
        self.try_send_to(self.home_room()?, &message.into())
    }

    pub(crate) fn try_send_to(&self, room: &AgencyId, message: &Outgoing) -> Result<()> {
        let say = |part: &Outgoing| self.inner.session.try_emit("send-message", &part.payload(room)?);
        match self.options().long_messages.apply(message)? {
            None => say(message),
            Some(parts) => self.say_parts(parts, Duration::ZERO, &mut |part| say(&part)),
        }
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

    fn home_room(&self) -> Result<&AgencyId> {
        let home = self.inner.home.get().ok_or_else(|| {
            Error::invalid(
                "the agent has no home room to speak in: use the room that join(..) returns, or make it the home with \
                 agent.set_home(&room)",
            )
        })?;
        if self.inner.rooms.has_left(home) {
            return Err(Error::invalid("the agent has left its home room"));
        }
        Ok(home)
    }

    /// Answers a message in the room that it came from, and carries its loop guard on: one hop more.
    ///
    /// # Errors
    /// As [`send`](Agent::send).
    pub fn reply(&self, to: &Message, message: impl Into<Outgoing>) -> Result<()> {
        self.send_to(&to.agency_id, &message.into().in_reply_to(to))
    }

    pub(crate) fn send_to(&self, room: &AgencyId, message: &Outgoing) -> Result<()> {
        let say = |part: &Outgoing| self.emit("send-message", &part.payload(room)?);
        match self.options().long_messages.apply(message)? {
            None => say(message),
            Some(parts) => self.say_in_parts(parts, &mut |part| say(&part)),
        }
    }

    /// Gives one of the agent's own messages a new text; what else it carries stays. Returns once that is handed to the
    /// operating system; [`post_edit`](Agent::post_edit) waits until the room shows it.
    ///
    /// # Errors
    /// As [`send`](Agent::send). That the message is not the agent's own shows as
    /// [`Event::ServerError`](crate::Event::ServerError).
    pub fn edit(&self, message: &Message, text: impl AsRef<str>) -> Result<()> {
        self.edit_in(&message.agency_id, &message.id, text.as_ref())
    }

    pub(crate) fn edit_in(&self, room: &AgencyId, message: &MessageId, text: &str) -> Result<()> {
        let content = self.checked_edit(text)?;
        self.emit("edit-message", &EditMessage { agency_id: room, message_id: message, content })
    }

    /// Waits for the connection as long as any message does.
    fn emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        let until = deadline::after(self.options().send_timeout);
        self.session().emit(name, payload, until)
    }

    /// Sends a direct message in a conversation's room ([`Conversation::agency_id`](crate::model::Conversation::agency_id)),
    /// which is joined first if it has not been.
    ///
    /// # Errors
    /// As [`send`](Agent::send) and [`join`](Agent::join).
    #[doc(alias = "sendDM")]
    pub fn send_dm(&self, room: &AgencyId, message: impl Into<Outgoing>) -> Result<()> {
        if !self.inner.rooms.contains(room) {
            self.enter(room, RoomInfo::dm(None))?;
        }
        self.send_to(room, &message.into())
    }
}
