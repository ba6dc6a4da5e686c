//! Slash commands and their results.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::backfill;
use crate::agent::event::complaint_of;
use crate::agent::send::outgoing::{SendCommand, only_guard};
use crate::agent::{Agent, Room};
use crate::complaint;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, CommandReply, LoopGuard, MessageEdited, MessageId};
use crate::socket::{AckArgs, RawEvent, SessionSubscription};

/// How long a command may take to be answered, unless the caller says otherwise. That of the platform's own SDK, and
/// as long as a command webhook may take.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the late answer of a slow hook is waited for after that.
pub(crate) const LATE_TIMEOUT: Duration = Duration::from_secs(15);

/// A slash command that is about to be run: [`Room::command`].
///
/// May be sent inside a handler of events. The same command may be sent again, and by several threads at once.
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
    agent: &'a Agent,
    room: &'a AgencyId,
    text: Cow<'a, str>,
    silent: bool,
    timeout: Duration,
    late: Duration,
    /// Of the answer that the command is part of.
    guard: Option<&'a LoopGuard>,
}

impl<'a> Command<'a> {
    /// With the settings that it has unless the caller says otherwise.
    pub(crate) fn new(room: &'a Room, text: Cow<'a, str>) -> Self {
        Command {
            agent: room.agent(),
            room: room.id(),
            text,
            silent: true,
            timeout: ANSWER_TIMEOUT,
            late: LATE_TIMEOUT,
            guard: room.guard(),
        }
    }

    /// The command as part of an answer, unless it is part of another one.
    pub(crate) fn guarded(mut self, guard: Option<&'a LoopGuard>) -> Self {
        self.guard = self.guard.or(guard);
        self
    }
}

impl Command<'_> {
    /// How long the server may take to answer. Defaults to 15 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The result is shown in the room, too, for everybody there. Defaults to silent.
    pub fn visible(mut self) -> Self {
        self.silent = false;
        self
    }

    /// How long to wait for the late answer of a slow hook, which answers with a placeholder at first. Zero takes the
    /// placeholder. Defaults to 15 s, counted from the placeholder on.
    pub fn late(mut self, limit: Duration) -> Self {
        self.late = limit;
        self
    }

    /// # Errors
    /// `Invalid` when it is no command.
    pub(crate) fn checked_text(&self) -> Result<&str> {
        checked(&self.text)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Runs it and waits for the result. That the command failed is a result, too: [`CommandReply::ok`],
    /// [`CommandReply::into_result`].
    ///
    /// # Errors
    /// - [`Invalid`](crate::ErrorKind::Invalid): the text is no command. It begins with a slash, and there is nothing else in
    ///   the message: `see /help` is a text.
    /// - [`NotSent`](crate::ErrorKind::NotSent): the connection did not come back within the
    ///   [`send_timeout`](crate::agent::AgentBuilder::send_timeout). Not run.
    /// - [`Timeout`](crate::ErrorKind::Timeout): no answer. What the server complained about meanwhile, if anything, is the
    ///   [`server_message`](Error::server_message); it does not say what its complaints are about.
    /// - [`MaybeSent`](crate::ErrorKind::MaybeSent): the connection broke before the answer came. It may have run.
    /// - [`Protocol`](crate::ErrorKind::Protocol): the answer is not what an answer looks like.
    /// - [`Closed`](crate::ErrorKind::Closed): the agent was closed.
    pub fn send(&self) -> Result<CommandReply> {
        let content = checked(&self.text)?;
        let session = self.agent.session();
        // From before it is sent: the answer and the edit that completes it may come in one piece.
        let watching =
            session.subscribe(Box::new(|event| matches!(event.name(), "message-edited" | "error")));
        // What only the caller sees is no message that somebody could answer.
        let metadata = only_guard(self.guard.filter(|_| !self.silent));
        let request = SendCommand { agency_id: self.room, content, silent: self.silent, metadata };
        let until = deadline::after(self.agent.options().send_timeout);
        let ack = match session.emit_with_ack("send-message", &request, until, self.timeout) {
            Err(error) if error.is_timeout() => {
                let (name, limit) = (content.split_whitespace().next().unwrap_or(content), self.timeout);
                let text = format!("no answer to {name} within {limit:?}: it may have run");
                return Err(explained(error.reworded(ErrorKind::Timeout, text), &watching));
            }
            other => other?,
        };
        let mut reply: CommandReply = ack.first().or_else(|error| {
            in_other_words(&ack, content).ok_or_else(|| {
                Error::protocol("the answer to the command cannot be decoded").with_source(error)
            })
        })?;
        if let Some(id) = reply.message_id.clone().filter(|_| !self.silent) {
            self.agent.inner.own_results.add(id);
        }
        if !reply.ok
            && reply.content.is_empty()
            && let Some(other) = in_other_words(&ack, content)
        {
            reply.content = other.content;
        }
        if reply.pending && !self.late.is_zero() {
            self.wait_for_the_rest(&mut reply, watching);
        }
        Ok(reply)
    }

    /// The placeholder is edited once the hook is done.
    fn wait_for_the_rest(&self, reply: &mut CommandReply, mut watching: SessionSubscription) {
        let Some(id) = reply.message_id.clone() else { return };
        let session = self.agent.session();
        let deadline = deadline::after(self.late);
        watching.bind(None);
        while reply.pending {
            match watching.next(deadline) {
                Ok(Some(event)) => {
                    if let Some(edit) = edit_of(&event, &id) {
                        reply.complete(edit);
                    }
                }
                // The edit may have come while the connection was down. Then the history has it, if the room can see it.
                Err(error) if !error.is_closed() => {
                    let Ok(line) = session.connection(deadline) else { return };
                    watching.bind(Some(line.generation));
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
        let found = backfill::recent(self.agent.client(), self.room, &mut dm, id);
        Some(MessageEdited::of(&found.ok()??))
    }
}

/// # Errors
/// `Invalid` when it is no command.
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

/// The reply in an ack of another form: a bare text, or an error with its words inside. A bare text is a result.
fn in_other_words(ack: &AckArgs, command: &str) -> Option<CommandReply> {
    let value: Value = ack.first().ok()?;
    let content = complaint::in_value(&value)?;
    let name = command.split_whitespace().next().unwrap_or(command);
    serde_json::from_value(json!({ "ok": value.is_string(), "command": name, "content": content })).ok()
}

fn edit_of(event: &RawEvent, id: &MessageId) -> Option<MessageEdited> {
    let edit = || event.first::<MessageEdited>().ok().filter(|edit| edit.message_id == *id);
    (event.name() == "message-edited").then(edit).flatten()
}

/// A time-out, with what the server complained about meanwhile: most likely about this.
fn explained(error: Error, watching: &SessionSubscription) -> Error {
    while let Ok(Some(event)) = watching.next(Instant::now()) {
        if event.name() == "error" {
            let said = complaint_of(&event);
            let text = format!("{error}; meanwhile the server said: {said}");
            return error.reworded(ErrorKind::Timeout, text).with_server_message(said);
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
