//! One message to answer.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::thread;

use crate::agent::run::Trigger;
use crate::agent::{Agent, Inner, Outgoing, Room};
use crate::error::Result;
use crate::model::{Message, MessageId};

/// A message that the agent should answer. Yielded by [`Mentions`](crate::Mentions).
///
/// It dereferences to its [`Message`].
///
/// For an agent that [remembers](crate::agent::AgentBuilder::remember), a question is *done* when the thread that
/// took it asks for the next one and this value was dropped, or earlier by [`done`](Mention::done). So a question
/// that is moved to another thread is done when it is dropped there. A question that is not done when the process
/// ends (by a kill, a panic, or a `?` that leaves the loop) is yielded again after the next start.
///
/// ```no_run
/// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
/// for mention in agent.mentions() {
///     let mention = mention?;
///     println!("{} asks: {}", mention.sender_username, mention.content);
///     mention.reply("42").unwrap_or_else(|error| eprintln!("not answered: {error}"));
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Mention {
    message: Message,
    agent: Agent,
    ticket: Option<Arc<Ticket>>,
}

/// For an agent that remembers: reports when the question was dropped.
struct Ticket {
    inner: Arc<Inner>,
    id: MessageId,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        if let Some(memory) = &self.inner.memory
            && memory.drop_held(&self.id)
        {
            self.inner.save_memory();
        }
    }
}

impl fmt::Debug for Mention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mention").field(&self.message).finish()
    }
}

impl Deref for Mention {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl AsRef<Message> for Mention {
    fn as_ref(&self) -> &Message {
        &self.message
    }
}

impl From<Mention> for Message {
    fn from(mention: Mention) -> Message {
        mention.into_message()
    }
}

impl From<&Mention> for Trigger {
    fn from(mention: &Mention) -> Trigger {
        Trigger::from(&mention.message)
    }
}

impl Mention {
    pub(crate) fn new(agent: &Agent, message: Message) -> Mention {
        let ticket = agent.inner.memory.as_ref().map(|memory| {
            memory.hand_out(&message.id, true);
            Arc::new(Ticket { inner: Arc::clone(&agent.inner), id: message.id.clone() })
        });
        Mention { message, agent: agent.clone(), ticket }
    }

    /// Returns the message. This counts as dropping the mention.
    pub fn into_message(self) -> Message {
        self.message
    }

    /// The room of the message.
    ///
    /// ```no_run
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// let before = mention.room().recent(20)?;
    /// # let _ = before;
    /// # Ok(()) }
    /// ```
    pub fn room(&self) -> Room {
        self.agent.room_of(&self.message)
    }

    /// Answers the message in its room, like [`Agent::reply`].
    ///
    /// ```no_run
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// mention.reply("42")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Agent::send`].
    pub fn reply(&self, message: impl Into<Outgoing>) -> Result<()> {
        self.agent.reply(&self.message, message)
    }

    /// Marks the question as done before this thread asks for the next one: it is not yielded again after the next
    /// start. This is saved when the call returns; if saving fails,
    /// [`Event::StateNotSaved`](crate::Event::StateNotSaved) reports it. Without
    /// [`remember`](crate::agent::AgentBuilder::remember) it does nothing.
    ///
    /// ```no_run
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// mention.reply("I have put it on the list.")?;
    /// mention.done();
    /// // … an hour of work …
    /// # Ok(()) }
    /// ```
    pub fn done(&self) {
        if let (Some(ticket), Some(memory)) = (&self.ticket, &self.agent.inner.memory) {
            memory.done(&ticket.id);
            self.agent.inner.save_memory();
        }
    }
}
