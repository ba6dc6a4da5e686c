//! Sending a message without waiting until the room shows it.

use std::time::Duration;

use serde::Serialize;

use crate::agent::rooms::RoomInfo;
use crate::agent::send::outgoing::EditMessage;
use crate::agent::{Agent, Outgoing};
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::{AgencyId, MessageId};

impl Agent {
    pub(crate) fn try_send_to(&self, room: &AgencyId, message: &Outgoing) -> Result<()> {
        let say = |part: &Outgoing| self.inner.session.try_emit("send-message", &part.payload(room)?);
        match self.options().long_messages.apply(message)? {
            None => say(message),
            Some(parts) => self.say_parts(parts, Duration::ZERO, &mut |part| say(&part)),
        }
    }

    pub(crate) fn home_room(&self) -> Result<&AgencyId> {
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

    pub(crate) fn send_to(&self, room: &AgencyId, message: &Outgoing) -> Result<()> {
        let say = |part: &Outgoing| self.emit("send-message", &part.payload(room)?);
        match self.options().long_messages.apply(message)? {
            None => say(message),
            Some(parts) => self.say_in_parts(parts, &mut |part| say(&part)),
        }
    }

    pub(crate) fn edit_in(&self, room: &AgencyId, message: &MessageId, text: &str) -> Result<()> {
        let content = self.checked_edit(text)?;
        self.emit("edit-message", &EditMessage { agency_id: room, message_id: message, content })
    }

    /// Emits an event. Waits for the connection up to the `send_timeout`.
    fn emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        let until = deadline::after(self.options().send_timeout);
        self.session().emit(name, payload, until)
    }

    /// Implements [`Agent::send_dm`].
    pub(crate) fn speak_in_conversation(&self, room: &AgencyId, message: Outgoing) -> Result<()> {
        message.check()?;
        if !self.inner.rooms.contains(room) {
            self.enter(room, RoomInfo::dm(None))?;
        }
        self.send_to(room, &message)
    }
}
