//! The iterator over messages that begin with a command prefix of the agent, such as `!conch deploy`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::agent::handle::AgentHandle;
use crate::agent::recent_ids::RecentIds;
use crate::agent::respond::answerable;
use crate::agent::{Decision, Event, Events, Mention, RecvError, questions};
use crate::deadline;
use crate::error::{Error, Result};
use crate::sync::lock::Mutex;

/// The messages that begin with a prefix, each once. Returned by [`Agent::commands`](crate::Agent::commands).
///
/// The iterator leaves out the agent's own messages, the platform's messages, and messages whose loop guard allows no
/// further answer. The iterator has its own queue, which starts with the call of
/// [`Agent::commands`](crate::Agent::commands), and takes no events from other loops. It ends when the agent ends, and
/// does not yield the error that ended the agent: [`Agent::events`](crate::Agent::events),
/// [`Agent::mentions`](crate::Agent::mentions) and [`Agent::close`](crate::Agent::close) do.
///
/// An agent that [remembers](crate::agent::AgentBuilder::remember) also yields the commands that came while the
/// program was down, and the commands that were not done. [`Mention`] defines when a command is done. The agent must
/// know the prefix before it takes the first message: call `commands` for each prefix before any loop begins.
///
/// ```no_run
/// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
/// for command in agent.commands("!") {
///     let command = command?;
///     let answer = match command.request().command() {
///         "ping" => "pong".to_owned(),
///         other => format!("I do not know {other:?}."),
///     };
///     command.reply(answer).unwrap_or_else(|error| eprintln!("not answered: {error}"));
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing unless you take messages from it"]
pub struct CommandMentions {
    agent: AgentHandle,
    events: Events,
    prefix: Arc<str>,
    /// Whether the iterator has returned the error about an empty prefix.
    refused: Arc<AtomicBool>,
    /// The ids of the last messages that were handed out, because a message may come twice after a gap.
    handed_out: Arc<Mutex<RecentIds<64>>>,
}

impl CommandMentions {
    pub(crate) fn new(agent: &AgentHandle, prefix: &str) -> CommandMentions {
        let prefix: Arc<str> = prefix.trim().into();
        let listener = agent.listeners.listen_to_commands(&prefix);
        let events = Events::new(agent, listener);
        CommandMentions {
            agent: agent.clone(),
            events,
            prefix,
            refused: Arc::default(),
            handed_out: Arc::default(),
        }
    }

    /// Waits at most `limit` for the next message.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// if let Ok(command) = agent.commands("!").recv_timeout(Duration::from_secs(60)) {
    ///     command.reply("one moment")?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The errors of [`Events::recv_timeout`]; [`Invalid`](crate::ErrorKind::Invalid), once, if the prefix is empty.
    pub fn recv_timeout(&self, limit: Duration) -> Result<Mention, RecvError> {
        self.recv(Some(deadline::after(limit)))
    }

    fn recv(&self, until: Option<Instant>) -> Result<Mention, RecvError> {
        if self.prefix.is_empty() {
            return Err(self.refuse());
        }
        // The command that this thread took before is done.
        questions::acknowledge_questions(&self.agent);
        loop {
            let Event::Message(message) = self.events.recv(until)? else { continue };
            // The room may have shown an answer since the message was queued.
            let is_wanted =
                answerable::decide_command(&self.agent, &message, &self.prefix) == Decision::Respond;
            if is_wanted && self.handed_out.lock().add(&message.id) {
                return Ok(Mention::with_prefix(&self.agent, message, Arc::clone(&self.prefix)));
            }
        }
    }

    /// Returns the error about an empty prefix once, and then `Closed`. No message can match an empty prefix, so a wait
    /// would never end.
    fn refuse(&self) -> RecvError {
        if self.refused.swap(true, Ordering::Relaxed) {
            return RecvError::Closed;
        }
        let text = "the prefix of commands is empty: give it a word such as `!conch`, or use events() for all messages";
        RecvError::Failed(Error::invalid(text))
    }
}

impl Iterator for CommandMentions {
    type Item = Result<Mention>;

    fn next(&mut self) -> Option<Self::Item> {
        RecvError::to_item(self.recv(None))
    }
}

/// After the end, `next` returns `None` forever.
impl std::iter::FusedIterator for CommandMentions {}
