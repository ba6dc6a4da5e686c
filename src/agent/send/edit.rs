//! Edits of messages, with and without a wait until the room shows them.

use std::time::{Duration, Instant};

use crate::agent::event::error_event_text;
use crate::agent::inner::AgentInner;
use crate::agent::send::outgoing::EditMessage;
use crate::agent::send::same_text::is_same_text;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, MessageEdited, MessageId};
use crate::socket::RawEvent;

/// How long to wait for the echo after an `error` event. The event does not say which call failed. If another call
/// failed, the echo of this edit follows soon.
const ERROR_GRACE: Duration = Duration::from_millis(500);
/// How long to wait for the echo after an edit of the same message with another text. Either another thread made that
/// edit, and the echo of this edit follows; or the server has changed the text of this edit.
const OTHER_TEXT_GRACE: Duration = Duration::from_secs(5);

pub(crate) fn edit_in(agent: &AgentInner, room: &AgencyId, message: &MessageId, text: &str) -> Result<()> {
    let content = checked_edit(agent, text)?;
    agent.emit("edit-message", &EditMessage { agency_id: room, message_id: message, content })
}

pub(crate) fn post_edit_in(
    agent: &AgentInner,
    room: &AgencyId,
    message: &MessageId,
    text: &str,
) -> Result<MessageEdited> {
    let content = checked_edit(agent, text)?;
    let payload = EditMessage { agency_id: room, message_id: message, content };
    let until = deadline::after(agent.options.send_timeout);
    let mut tried = false;
    loop {
        let connection = agent.session.connection(until).map_err(|error| match error.kind() {
            ErrorKind::NotSent if tried => {
                let text =
                    "the connection broke before the edit was seen, and there was no reconnect in time";
                Error::new(ErrorKind::MaybeSent, text)
            }
            ErrorKind::Closed if tried => Error::cut_off_by_close(),
            _ => error,
        })?;
        let subscription =
            connection.subscribe(Box::new(|event| matches!(event.name(), "message-edited" | "error")));
        match connection.emit("edit-message", &payload) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotSent | ErrorKind::MaybeSent) => {
                tried |= error.kind() == ErrorKind::MaybeSent;
                continue;
            }
            Err(error) => return Err(error),
        }
        tried = true;
        if let Some(outcome) = echo(agent, message, content, |deadline| subscription.next(deadline)) {
            if outcome.is_ok() {
                connection.confirm();
            }
            return outcome;
        }
    }
}

/// Waits for the room to show the edit. `None` if the connection broke first.
fn echo(
    agent: &AgentInner,
    message: &MessageId,
    text: &str,
    next: impl Fn(Instant) -> Result<Option<RawEvent>>,
) -> Option<Result<MessageEdited>> {
    let limit = agent.options.post_timeout;
    let mut deadline = deadline::after(limit);
    let mut server_error = None;
    let mut other = None;
    loop {
        match next(deadline) {
            Ok(Some(event)) if event.name() == "error" => {
                server_error.get_or_insert_with(|| error_event_text(&event));
                deadline = deadline.min(deadline::after(ERROR_GRACE));
            }
            Ok(Some(event)) => match event.first::<MessageEdited>() {
                Ok(edit) if edit.message_id != *message => {}
                Ok(edit) if is_same_text(&edit.content, text, usize::MAX) => return Some(Ok(edit)),
                Ok(edit) => {
                    let cut_off = is_same_text(&edit.content, text, 1);
                    deadline =
                        deadline.min(deadline::after(if cut_off { ERROR_GRACE } else { OTHER_TEXT_GRACE }));
                    other = Some(edit);
                }
                Err(_) => {}
            },
            Ok(None) => break,
            Err(error) if error.is_closed() => return Some(Err(error)),
            Err(_) => return None,
        }
    }
    Some(match (other, server_error) {
        (_, Some(said)) => {
            let text = format!("the server refused the edit: {said}");
            Err(Error::new(ErrorKind::Rejected, text).with_server_message(said))
        }
        (Some(edit), None) => Ok(edit),
        (None, None) => Err(Error::timeout(format!(
            "the edit was sent, but the room did not show it within {limit:?}: it may still appear"
        ))),
    })
}

/// # Errors
/// `Invalid` if the text is empty or too long for one message.
pub(crate) fn checked_edit<'t>(agent: &AgentInner, text: &'t str) -> Result<&'t str> {
    let content = text.trim();
    if content.is_empty() {
        return Err(Error::invalid("the new text is empty"));
    }
    agent.options.long_messages.check_edit(content)?;
    Ok(content)
}
