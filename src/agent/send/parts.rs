//! Sends a message, in several parts if it is long, without waiting until the room shows it.

use std::borrow::Cow;
use std::time::Duration;

use crate::agent::Outgoing;
use crate::agent::inner::AgentInner;
use crate::agent::rooms::{RoomInfo, join};
use crate::agent::send::long_send_lock::LongSendGuard;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, Message};

/// The message, with a text that the platform shows and does not run as a command. A direct message is never a
/// command (docs.crustocean.chat, page "Direct messages").
///
/// # Errors
/// `Invalid` if the text is a command and the message is no answer.
pub(crate) fn as_text<'m>(
    agent: &AgentInner,
    room: &AgencyId,
    message: &'m Outgoing,
) -> Result<Cow<'m, Outgoing>> {
    if agent.position(room).1 { Ok(Cow::Borrowed(message)) } else { message.as_text() }
}

pub(crate) fn try_send_to(agent: &AgentInner, room: &AgencyId, message: &Outgoing) -> Result<()> {
    let message = &*as_text(agent, room, message)?;
    let send = |part: &Outgoing| agent.session.try_emit("send-message", &part.payload(room)?);
    match agent.options.long_messages.apply(message)? {
        None => send(message),
        Some(parts) => {
            let _guard = lock_long_sends(agent, Duration::ZERO)?;
            send_parts(agent, parts, Duration::ZERO, send)
        }
    }
}

pub(crate) fn send_to(agent: &AgentInner, room: &AgencyId, message: &Outgoing) -> Result<()> {
    let message = &*as_text(agent, room, message)?;
    let send = |part: &Outgoing| agent.emit("send-message", &part.payload(room)?);
    match agent.options.long_messages.apply(message)? {
        None => send(message),
        Some(parts) => {
            let _guard = lock_long_sends(agent, agent.options.send_timeout)?;
            send_parts(agent, parts, agent.options.long_messages.pause_between(), send)
        }
    }
}

/// Answers a message in its room.
pub(crate) fn reply(agent: &AgentInner, to: &Message, message: Outgoing) -> Result<()> {
    send_to(agent, &to.agency_id, &message.in_reply_to(to))
}

/// Implements [`Agent::send_dm`](crate::Agent::send_dm).
pub(crate) fn send_to_conversation(agent: &AgentInner, room: &AgencyId, message: Outgoing) -> Result<()> {
    message.check()?;
    if !agent.rooms.contains(room) {
        join::enter(agent, room, RoomInfo::dm(None))?;
    }
    send_to(agent, room, &message)
}

/// Waits until no other thread sends a long message of this agent.
///
/// # Errors
/// `NotSent` if the other message takes longer than `limit`.
pub(crate) fn lock_long_sends(agent: &AgentInner, limit: Duration) -> Result<LongSendGuard<'_>> {
    let until = deadline::after(limit);
    agent.long_send_lock.take(until).ok_or_else(|| {
        Error::new(ErrorKind::NotSent, "another long message is still being sent: this message was not sent")
    })
}

/// Sends the parts of a message one by one.
///
/// # Errors
/// The first error. If an earlier part was sent, the kind is `Closed` for a closed agent and otherwise `MaybeSent`.
fn send_parts(
    agent: &AgentInner,
    parts: Vec<Outgoing>,
    pause: Duration,
    send: impl Fn(&Outgoing) -> Result<()>,
) -> Result<()> {
    let count = parts.len();
    for (sent, part) in parts.into_iter().enumerate() {
        if sent > 0 && !pause.is_zero() {
            agent.session.pause(pause);
        }
        match send(&part) {
            Ok(()) => {}
            Err(error) if sent == 0 => return Err(error),
            Err(error) => {
                let text = format!(
                    "{sent} of {count} parts of the message were sent; the next part failed: {error}"
                );
                return Err(error.sent_in_part(text));
            }
        }
    }
    Ok(())
}
