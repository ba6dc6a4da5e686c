//! The loop over messages that begin with a word of the agent's own: `!conch deploy`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent::respond::decide::{Address, decide_for};
use crate::agent::{Agent, Decision, Event, Events, Mention, RecvError};
use crate::deadline;
use crate::error::Result;

/// The messages that begin with a prefix. From [`Agent::commands`].
///
/// The agent's own messages and the platform's are left out, and those whose loop guard allows no further answer. It listens by
/// itself, from the call on, and takes nothing away from other loops. It ends as [`Events`] does.
#[derive(Debug, Clone)]
#[must_use = "messages come only to those who ask for them"]
pub struct Commands {
    agent: Agent,
    events: Events,
    prefix: Arc<str>,
}

impl Commands {
    pub(crate) fn new(agent: &Agent, prefix: &str) -> Commands {
        Commands { agent: agent.clone(), events: agent.subscribe(), prefix: prefix.trim().into() }
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
    /// The errors of [`Events::recv_timeout`].
    pub fn recv_timeout(&self, limit: Duration) -> Result<Mention, RecvError> {
        self.recv(Some(deadline::after(limit)))
    }

    fn recv(&self, until: Option<Instant>) -> Result<Mention, RecvError> {
        loop {
            let Event::Message(message) = self.events.recv(until)? else { continue };
            if decide_for(&message, self.agent.user(), Address::Prefix(&self.prefix)) == Decision::Respond {
                return Ok(Mention::with_prefix(&self.agent, message, Arc::clone(&self.prefix)));
            }
        }
    }
}

impl Iterator for Commands {
    type Item = Result<Mention>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.recv(None) {
            Ok(mention) => Some(Ok(mention)),
            Err(RecvError::Failed(error)) => Some(Err(error)),
            Err(_) => None,
        }
    }
}

/// The end stays the end.
impl std::iter::FusedIterator for Commands {}

impl Agent {
    /// The messages from now on that begin with a word of the agent's own, such as `!conch`; case does not matter. Own messages
    /// and the platform's are left out. [`Mention::request`] reads what follows the word. Beside
    /// [`mentions`](Agent::mentions), which goes on to yield what mentions the agent.
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
    pub fn commands(&self, prefix: &str) -> Commands {
        Commands::new(self, prefix)
    }
}
