//! Slash commands and their results.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::event::error_event_text;
use crate::agent::history::fetch;
use crate::agent::inner::AgentInner;
use crate::agent::rooms::RoomHandle;
use crate::agent::send::outgoing::{SendCommand, only_guard};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::error_text;
use crate::model::{AgencyId, CommandReply, LoopGuard, MessageEdited, MessageId};
use crate::socket::{AckArgs, RawEvent, SessionSubscription};

/// The default time limit for the answer to a command. The platform's own SDK has the same limit, and a command webhook
/// may take no longer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// The default time limit for the late answer of a slow hook.
pub(crate) const LATE_TIMEOUT: Duration = Duration::from_secs(15);

/// A slash command to run. Returned by [`Room::command`](crate::Room::command).
///
/// A command may be sent inside an event handler. The same `Command` may be sent several times, and by several threads
/// at once.
///
/// ```no_run
/// # fn main() -> crustocean::Result<()> {
/// # let agent = crustocean::Agent::from_env()?;
/// let room = agent.join("lobby")?;
/// let dice = room.command("/roll 2d6").send()?;
/// if dice.ok {
///     room.send(format!("the dice say: {}", dice.content))?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a command does nothing until it is sent"]
pub struct Command<'a> {
    agent: &'a AgentInner,
    room: &'a AgencyId,
    text: Cow<'a, str>,
    silent: bool,
    timeout: Duration,
    late: Duration,
    /// The loop guard of the answer that this command belongs to.
    guard: Option<&'a LoopGuard>,
}

impl<'a> Command<'a> {
    /// A command with the default settings.
    pub(crate) fn new(room: &'a RoomHandle, text: Cow<'a, str>) -> Self {
        Command {
            agent: &room.agent,
            room: &room.id,
            text,
            silent: true,
            timeout: ANSWER_TIMEOUT,
            late: LATE_TIMEOUT,
            guard: room.guard(),
        }
    }

    /// Makes the command part of an answer, unless the command already belongs to another answer.
    pub(crate) fn guarded(mut self, guard: Option<&'a LoopGuard>) -> Self {
        self.guard = self.guard.or(guard);
        self
    }
}

impl Command<'_> {
    /// How long the server may take to answer. Defaults to 15 s.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let reply = room.command("/price ETH").timeout(Duration::from_secs(5)).send()?;
    /// # let _ = reply;
    /// # Ok(()) }
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Shows the result to everybody in the room. By default only the agent sees the result.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// room.command("/roll 2d6").visible().send()?;
    /// # Ok(()) }
    /// ```
    pub fn visible(mut self) -> Self {
        self.silent = false;
        self
    }

    /// How long to wait for the final answer of a slow hook, which answers with a placeholder first. With a limit of
    /// zero, the placeholder is the result. Defaults to 15 s after the placeholder.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let reply = room.command("/report").late(Duration::from_secs(120)).send()?;
    /// # let _ = reply;
    /// # Ok(()) }
    /// ```
    pub fn late(mut self, limit: Duration) -> Self {
        self.late = limit;
        self
    }

    /// # Errors
    /// `Invalid` if the text is not a command.
    pub(crate) fn checked_text(&self) -> Result<&str> {
        checked(&self.text)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Runs the command and waits for the result. A command that fails is a result, too: [`CommandReply::ok`] is
    /// `false`, and [`CommandReply::into_result`] turns the result into an error.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let reply = room.command("/roll 2d6").send()?.into_result()?;
    /// println!("{}", reply.content);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Invalid`](crate::ErrorKind::Invalid): the text is not a command. A command starts with a slash, so
    ///   `see /help` is a text.
    /// - [`NotSent`](crate::ErrorKind::NotSent): the connection did not come back within the
    ///   [`send_timeout`](crate::agent::AgentBuilder::send_timeout). The command did not run.
    /// - [`Timeout`](crate::ErrorKind::Timeout): no answer came in time. If the server sent an `error` event
    ///   meanwhile, its text is the [`server_message`](Error::server_message); the server does not say what an
    ///   `error` event is about.
    /// - [`MaybeSent`](crate::ErrorKind::MaybeSent): the connection broke before the answer came. The command may
    ///   have run.
    /// - [`Protocol`](crate::ErrorKind::Protocol): the answer has an unknown form.
    /// - [`Closed`](crate::ErrorKind::Closed): the agent was closed.
    pub fn send(&self) -> Result<CommandReply> {
        let content = checked(&self.text)?;
        let session = &self.agent.session;
        // Subscribe before sending: the answer and the edit that completes the answer may arrive together.
        let watching =
            session.subscribe(Box::new(|event| matches!(event.name(), "message-edited" | "error")));
        // A result that only the agent sees cannot be answered, so it needs no loop guard.
        let metadata = only_guard(self.guard.filter(|_| !self.silent));
        let request = SendCommand { agency_id: self.room, content, silent: self.silent, metadata };
        let until = deadline::after(self.agent.options.send_timeout);
        let ack = match session.emit_with_ack("send-message", &request, until, self.timeout) {
            Err(error) if error.is_timeout() => {
                let (name, limit) = (content.split_whitespace().next().unwrap_or(content), self.timeout);
                let text = format!("no answer to {name} within {limit:?}: it may have run");
                return Err(explained(error.reworded(ErrorKind::Timeout, text), &watching));
            }
            other => other?,
        };
        let mut reply: CommandReply = ack.first().or_else(|error| {
            reply_from_plain_ack(&ack, content).ok_or_else(|| {
                Error::protocol("the answer to the command cannot be decoded").with_source(error)
            })
        })?;
        if let Some(id) = reply.message_id.as_ref().filter(|_| !self.silent) {
            self.agent.own_results.lock().add(id);
        }
        if !reply.ok
            && reply.content.is_empty()
            && let Some(other) = reply_from_plain_ack(&ack, content)
        {
            reply.content = other.content;
        }
        if reply.pending && !self.late.is_zero() {
            self.wait_for_the_rest(&mut reply, watching);
        }
        Ok(reply)
    }

    /// Waits for the edit that replaces the placeholder when the hook is done.
    fn wait_for_the_rest(&self, reply: &mut CommandReply, mut watching: SessionSubscription) {
        let Some(id) = reply.message_id.clone() else { return };
        let session = &self.agent.session;
        let deadline = deadline::after(self.late);
        watching.bind(None);
        while reply.pending {
            match watching.next(deadline) {
                Ok(Some(event)) => {
                    if let Some(edit) = edit_of(&event, &id) {
                        reply.complete(edit);
                    }
                }
                // The edit may have come while the connection was down. If the result is visible in the room, the
                // history contains the edit.
                Err(error) if !error.is_closed() => {
                    let Ok(connection) = session.connection(deadline) else { return };
                    watching.bind(Some(connection.generation));
                    if let Some(edit) = self.look_it_up(&id) {
                        reply.complete(edit);
                    }
                }
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn look_it_up(&self, id: &MessageId) -> Option<MessageEdited> {
        let mut dm = self.agent.position(self.room).1;
        let found = fetch::recent(&self.agent.client, self.room, &mut dm, id);
        Some(MessageEdited::of(&found.ok()??))
    }
}

/// # Errors
/// `Invalid` if the text is not a command.
fn checked(text: &str) -> Result<&str> {
    let text = text.trim();
    let name = text.strip_prefix('/').unwrap_or_default();
    if name.is_empty() || name.starts_with(char::is_whitespace) {
        return Err(Error::invalid(
            "a command is a whole message that begins with a slash and a name, such as \"/help\"",
        ));
    }
    Ok(text)
}

/// Reads a reply from an ack of another form: a plain text, which is a result, or an error object.
fn reply_from_plain_ack(ack: &AckArgs, command: &str) -> Option<CommandReply> {
    let value: Value = ack.first().ok()?;
    let content = error_text::in_value(&value)?;
    let name = command.split_whitespace().next().unwrap_or(command);
    serde_json::from_value(json!({ "ok": value.is_string(), "command": name, "content": content })).ok()
}

fn edit_of(event: &RawEvent, id: &MessageId) -> Option<MessageEdited> {
    let edit = || event.first::<MessageEdited>().ok().filter(|edit| edit.message_id == *id);
    (event.name() == "message-edited").then(edit).flatten()
}

/// Adds an `error` event that came meanwhile to a timeout, because the event is most likely about this command.
fn explained(error: Error, watching: &SessionSubscription) -> Error {
    while let Ok(Some(event)) = watching.next(Instant::now()) {
        if event.name() == "error" {
            let server_error = error_event_text(&event);
            let text = format!("{error}; meanwhile the server said: {server_error}");
            return error.reworded(ErrorKind::Timeout, text).with_server_message(server_error);
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_commands_from_texts() {
        for text in ["/help", "  /price ETH\n", "/usr/bin", "/Ü"] {
            assert_eq!(checked(text).unwrap(), text.trim());
        }
        for text in ["", "/", " / help", "help", "see /help", "//".trim_end_matches('/')] {
            assert_eq!(checked(text).unwrap_err().kind(), ErrorKind::Invalid, "{text:?}");
        }
    }
}
