//! Sends a message, in several parts if it is long, without waiting until the room shows it.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use crate::agent::rooms::RoomInfo;
use crate::agent::send::long_send_lock::LongSendGuard;
use crate::agent::{Agent, Outgoing};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::AgencyId;

impl Agent {
    /// The message, with a text that the platform shows and does not run as a command. A direct message is never a
    /// command (docs.crustocean.chat, page "Direct messages").
    ///
    /// # Errors
    /// `Invalid` if the text is a command and the message is no answer.
    pub(crate) fn as_text<'m>(&self, room: &AgencyId, message: &'m Outgoing) -> Result<Cow<'m, Outgoing>> {
        if self.position(room).1 { Ok(Cow::Borrowed(message)) } else { message.as_text() }
    }

    pub(crate) fn try_send_to(&self, room: &AgencyId, message: &Outgoing) -> Result<()> {
        let message = &*self.as_text(room, message)?;
        let send = |part: &Outgoing| self.inner.session.try_emit("send-message", &part.payload(room)?);
        match self.options().long_messages.apply(message)? {
            None => send(message),
            Some(parts) => {
                let _guard = self.lock_long_sends(Duration::ZERO)?;
                self.send_parts(parts, Duration::ZERO, send)
            }
        }
    }

    pub(crate) fn home_room(&self) -> Result<&AgencyId> {
        let home = self.inner.home.get().ok_or_else(|| {
            Error::invalid(
                "the agent has no home room to send to: use the room that join(..) returns, or make it the home with \
                 agent.set_home(&room)",
            )
        })?;
        if self.inner.rooms.has_left(home) {
            return Err(Error::invalid("the agent has left its home room"));
        }
        Ok(home)
    }

    pub(crate) fn send_to(&self, room: &AgencyId, message: &Outgoing) -> Result<()> {
        let message = &*self.as_text(room, message)?;
        let send = |part: &Outgoing| self.emit("send-message", &part.payload(room)?);
        match self.options().long_messages.apply(message)? {
            None => send(message),
            Some(parts) => {
                let _guard = self.lock_long_sends(self.options().send_timeout)?;
                self.send_parts(parts, self.options().long_messages.pause(), send)
            }
        }
    }

    /// Emits an event. Waits for the connection up to the `send_timeout`.
    pub(super) fn emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        let until = deadline::after(self.options().send_timeout);
        self.session().emit(name, payload, until)
    }

    /// Implements [`Agent::send_dm`].
    pub(crate) fn send_to_conversation(&self, room: &AgencyId, message: Outgoing) -> Result<()> {
        message.check()?;
        if !self.inner.rooms.contains(room) {
            self.enter(room, RoomInfo::dm(None))?;
        }
        self.send_to(room, &message)
    }

    /// Waits until no other thread sends a long message of this agent.
    ///
    /// # Errors
    /// `NotSent` if the other message takes longer than `limit`.
    pub(crate) fn lock_long_sends(&self, limit: Duration) -> Result<LongSendGuard<'_>> {
        let until = deadline::after(limit);
        self.inner.long_send_lock.take(until).ok_or_else(|| {
            Error::new(
                ErrorKind::NotSent,
                "another long message is still being sent: this message was not sent",
            )
        })
    }

    /// Sends the parts of a message one by one.
    ///
    /// # Errors
    /// The first error. If an earlier part was sent, the kind is `Closed` for a closed agent and otherwise `MaybeSent`.
    fn send_parts(
        &self,
        parts: Vec<Outgoing>,
        pause: Duration,
        send: impl Fn(&Outgoing) -> Result<()>,
    ) -> Result<()> {
        let count = parts.len();
        for (sent, part) in parts.into_iter().enumerate() {
            if sent > 0 && !pause.is_zero() {
                self.session().pause(pause);
            }
            match send(&part) {
                Ok(()) => {}
                Err(error) if sent == 0 => return Err(error),
                Err(error) => {
                    let text = format!("{sent} of {count} parts of the message were sent, then: {error}");
                    return Err(error.sent_in_part(text));
                }
            }
        }
        Ok(())
    }
}
