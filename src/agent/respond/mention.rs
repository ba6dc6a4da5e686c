//! A message that the agent should answer.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::agent::handle::AgentHandle;
use crate::agent::inner::AgentInner;
use crate::agent::respond::handle::{behind_prefix, without_mention};
use crate::agent::rooms::RoomHandle;
use crate::agent::run::Trigger;
use crate::agent::send::parts;
use crate::agent::{Event, Events, Outgoing, RecvError, Room, questions};
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::{Message, MessageId, Request};

/// A message that the agent should answer. Yielded by [`Mentions`](crate::Mentions) and
/// [`CommandMentions`](crate::agent::CommandMentions).
///
/// A `Mention` dereferences to its [`Message`].
///
/// For an agent that [remembers](crate::agent::AgentBuilder::remember), a question is *done* when this value was
/// dropped and the thread that took it has asked for its next question. [`done`](Mention::done) makes the question done
/// earlier. If the program moves the value to another thread, the question is not done before the value is dropped
/// there. If a question is not done when the process ends, the agent yields the question again after the next start.
/// The process may end by a kill, a panic, a `?` that leaves the loop, or a [`Stop`](crate::Stop) during the work.
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
    agent: AgentHandle,
    question: Option<Arc<OpenQuestion>>,
    /// The command prefix, if the message comes from a loop over commands.
    prefix: Option<Arc<str>>,
}

/// Tells the memory when the question was dropped. Only for an agent that remembers.
struct OpenQuestion {
    inner: Arc<AgentInner>,
    id: MessageId,
    /// If true, dropping the question does not make it done.
    left_open: AtomicBool,
}

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        // A question whose work a `Stop` has interrupted is not done.
        let cut_short = self.inner.closing.is_about_to_stop();
        if thread::panicking() || cut_short || self.left_open.load(Ordering::Acquire) {
            return;
        }
        if let Some(memory) = &self.inner.memory
            && memory.drop_held(&self.id)
        {
            questions::save_memory(&self.inner);
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
    pub(crate) fn new(agent: &AgentHandle, message: Message) -> Mention {
        let question = agent.memory.as_ref().map(|memory| {
            memory.hand_out(&message.id, true);
            let (inner, id) = (Arc::clone(agent), message.id.clone());
            Arc::new(OpenQuestion { inner, id, left_open: AtomicBool::new(false) })
        });
        Mention { message, agent: agent.clone(), question, prefix: None }
    }

    pub(crate) fn with_prefix(agent: &AgentHandle, message: Message, prefix: Arc<str>) -> Mention {
        Mention { prefix: Some(prefix), ..Mention::new(agent, message) }
    }

    /// Returns the text without the mention of the agent, or without the prefix of
    /// [`commands`](crate::Agent::commands). For example, `@larry, what is ETH at?` becomes `what is ETH at?`.
    ///
    /// ```no_run
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// mention.reply(format!("You said: {}", mention.text()))?;
    /// # Ok(()) }
    /// ```
    pub fn text(&self) -> String {
        match &self.prefix {
            Some(prefix) => behind_prefix(&self.message.content, prefix).unwrap_or_default().to_owned(),
            None => without_mention(&self.message.content, &self.agent.me.username),
        }
    }

    /// Parses the [text](Mention::text) as a command line, such as `@larry price "wrapped ETH" --in EUR --quiet`.
    ///
    /// ```no_run
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// let request = mention.request();
    /// if request.command() == "price" && !request.flag("quiet") {
    ///     let currency = request.option("in").unwrap_or("USD");
    ///     mention.reply(format!("{} in {currency}: 3000", request.positional().join(" ")))?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn request(&self) -> Request {
        Request::parse(&self.text())
    }

    /// Leaves the question open: an agent that [remembers](crate::agent::AgentBuilder::remember) yields the question
    /// again after the next start. Use it for a question that the program cannot answer now. Without a memory,
    /// `leave_open` does nothing.
    ///
    /// ```no_run
    /// # fn demo(question: crustocean::Mention) {
    /// if let Err(error) = question.room().post_reply(&question, "42") {
    ///     eprintln!("not answered now: {error}");
    ///     question.leave_open();
    /// }
    /// # }
    /// ```
    pub fn leave_open(self) {
        if let Some(question) = &self.question {
            question.left_open.store(true, Ordering::Release);
        }
    }

    /// Returns the message. This counts as dropping the mention.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// for mention in agent.mentions() {
    ///     let message: crustocean::Message = mention?.into_message();
    ///     println!("{}", message.content);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn into_message(self) -> Message {
        self.message
    }

    /// Returns the room of the message.
    ///
    /// ```no_run
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// let before = mention.room().recent(20)?;
    /// # let _ = before;
    /// # Ok(()) }
    /// ```
    pub fn room(&self) -> Room {
        Room::new(RoomHandle::of(&self.agent, &self.message))
    }

    /// Answers the message in its room, like [`Agent::reply`](crate::Agent::reply).
    ///
    /// ```no_run
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// mention.reply("42")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), [`NotSent`](crate::ErrorKind::NotSent),
    /// [`MaybeSent`](crate::ErrorKind::MaybeSent) or [`Closed`](crate::ErrorKind::Closed), as for
    /// [`Agent::send`](crate::Agent::send).
    pub fn reply(&self, message: impl Into<Outgoing>) -> Result<()> {
        parts::reply(&self.agent, &self.message, message.into())
    }

    /// Asks a question and returns the same sender's next message in this room. That message needs no mention of the
    /// agent, and [`mentions`](crate::Agent::mentions) does not yield that message. If several threads ask the same
    /// person in the same room, the first question gets the first answer. Other events are not affected.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// let answer = mention.ask("Are you sure?", Duration::from_secs(60))?;
    /// if answer.content == "yes" {
    ///     answer.reply("Done.")?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Timeout`](crate::ErrorKind::Timeout) if no message comes within `limit` after the question is in the room,
    /// [`Closed`](crate::ErrorKind::Closed) if the agent ends; otherwise the kinds of [`Room::post`].
    pub fn ask(&self, question: impl Into<Outgoing>, limit: Duration) -> Result<Mention> {
        let AgentInner { asks, taken, .. } = &**self.agent;
        let events = Events::subscribe(&self.agent);
        let question = question.into();
        let ask = asks.begin(&self.message, question.text());
        match self.room().in_reply_to(&self.message).post(question) {
            Ok(posted) => ask.note_posted(&posted.first),
            // An answer shows that the question is in the room.
            Err(error) => return ask.end().map(|answer| Mention::new(&self.agent, answer)).ok_or(error),
        }
        let until = deadline::after(limit);
        let answer = loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = events.recv_timeout(left);
            if let Some(answer) = ask.take_answer() {
                break answer;
            }
            match event {
                // A message that answers another question does not answer this question, too.
                Ok(Event::Message(message))
                    if ask.is_answered_by(&message) && taken.lock().add(&message.id) =>
                {
                    break message;
                }
                Err(RecvError::Timeout) => {
                    break ask.end().ok_or_else(|| {
                        let who = &self.message.sender_username;
                        Error::timeout(format!("@{who} has not answered within {limit:?}"))
                    })?;
                }
                other => drop(other?),
            }
        };
        Ok(Mention::new(&self.agent, answer))
    }

    /// Marks the question as done before this thread asks for the next question. The agent does not yield the question
    /// again after the next start. The call saves the memory before it returns. If saving fails, the agent yields
    /// [`Event::StateNotSaved`](crate::Event::StateNotSaved). Without
    /// [`remember`](crate::agent::AgentBuilder::remember), `done` does nothing.
    ///
    /// ```no_run
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// mention.reply("I have put it on the list.")?;
    /// mention.done();
    /// // … an hour of work …
    /// # Ok(()) }
    /// ```
    pub fn done(&self) {
        if let (Some(question), Some(memory)) = (&self.question, &self.agent.memory) {
            memory.done(&question.id);
            questions::save_memory(&self.agent);
        }
    }
}
