//! A room that the agent has joined.

use std::borrow::Cow;
use std::sync::Arc;

use crate::agent::rooms::RoomInfo;
use crate::agent::run::{Run, Trigger};
use crate::agent::send::outgoing::guard_of_answer;
use crate::agent::{Agent, Command, Editor, MessageRef, Outgoing, Posted, Thinking, Trace};
use crate::deadline;
use crate::error::Result;
use crate::model::{AgencyId, List, LoopGuard, Member, Message, MessageEdited};
use crate::rest::Messages;

/// A joined room (agency or direct message): a handle to speak in it. Cheap to clone.
///
/// It keeps working across reconnects: the agent joins its rooms again by itself.
#[derive(Debug, Clone)]
pub struct Room {
    agent: Agent,
    id: AgencyId,
    about: RoomInfo,
    /// What is said through this handle answers a message that carries the guard before this one.
    guard: Option<Arc<LoopGuard>>,
}

impl Room {
    /// The room's id.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("{}", room.id());
    /// # Ok(()) }
    /// ```
    pub fn id(&self) -> &AgencyId {
        &self.id
    }

    /// The agency's slug, if it was joined by that or from a list.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("#{}", room.slug().unwrap_or("?"));
    /// # Ok(()) }
    /// ```
    pub fn slug(&self) -> Option<&str> {
        self.about.slug.as_deref()
    }

    /// The agency's name, or who the conversation is with, where it is known.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("{}", room.name().unwrap_or("?"));
    /// # Ok(()) }
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.about.name.as_deref()
    }

    /// Whether it is a direct-message conversation.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("just the two of us: {}", room.is_dm());
    /// # Ok(()) }
    /// ```
    pub fn is_dm(&self) -> bool {
        self.about.dm
    }

    /// Who was in it when the agent joined it last, by itself after a reconnect included. Empty only if the agent has not
    /// joined it, or the server did not say; [`fetch_members`](Room::fetch_members) asks.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("{} were here", room.members().len());
    /// # Ok(()) }
    /// ```
    pub fn members(&self) -> &[Member] {
        &self.about.members
    }

    /// Who is in it now.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("{} are here", room.fetch_members()?.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What the server says.
    pub fn fetch_members(&self) -> Result<List<Member>> {
        self.agent.client().agencies().members(&self.id)
    }

    /// The last `count` messages, oldest first: the context that a language model needs.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// for message in room.recent(20)? {
    ///     println!("{}: {}", message.sender_username, message.content);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What the server says.
    #[doc(alias = "getRecentMessages")]
    pub fn recent(&self, count: usize) -> Result<Vec<Message>> {
        let page = u32::try_from(count).unwrap_or(u32::MAX);
        let mut messages = self.history().limit(page).iter().take(count).collect::<Result<Vec<_>>>()?;
        // Stable: what has the same time stays in the server's order.
        messages.reverse();
        messages.sort_by(|one, other| one.created_at.cmp(&other.created_at));
        Ok(messages)
    }

    /// What was said here, newest first: a page of it, or all back to the beginning.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// for message in room.history().iter() {
    ///     println!("{}", message?.content);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn history(&self) -> Messages<'_> {
        let client = self.agent.client();
        if self.about.dm { client.dms().messages(&self.id) } else { client.agencies().messages(&self.id) }
    }

    /// Says something here.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// room.send("hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Agent::send`].
    pub fn send(&self, message: impl Into<Outgoing>) -> Result<()> {
        self.agent.send_to(&self.id, &self.outgoing(message))
    }

    /// As [`send`](Room::send), but never waits for a lost connection.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// room.try_send("now or never")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Agent::try_send`].
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<()> {
        self.agent.try_send_to(&self.id, &self.outgoing(message))
    }

    /// Says something here and waits until it has been seen. Returns the message as the room has it; of a text that is
    /// too long for one message, all parts.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let posted = room.post("hello")?;
    /// room.edit(&posted.first, "hello again")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Agent::post`].
    pub fn post(&self, message: impl Into<Outgoing>) -> Result<Posted> {
        self.agent.post_to(&self.id, self.outgoing(message))
    }

    /// Answers a message here, and carries its loop guard on: one hop more. The message may have come from another room.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// room.reply(msg, "hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Agent::send`].
    pub fn reply(&self, to: &Message, message: impl Into<Outgoing>) -> Result<()> {
        self.in_reply_to(to).send(message)
    }

    /// Answers a message here and waits until the answer has been seen: the confirmed form of [`reply`](Room::reply), as
    /// [`post`](Room::post) is of [`send`](Room::send). Returns the answer as the room has it.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// let answer = room.post_reply(msg, "one moment")?.first;
    /// room.edit(&answer, "42")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Agent::post`].
    pub fn post_reply(&self, to: &Message, message: impl Into<Outgoing>) -> Result<Posted> {
        self.in_reply_to(to).post(message)
    }

    /// This room, to answer a message in: whatever is said through the returned handle carries the message's loop
    /// guard, one hop further. For answers that are more than one [`reply`](Agent::reply); a
    /// [run](Room::start_run) does it by itself.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// let answer = room.in_reply_to(msg);
    /// answer.send("first")?;
    /// answer.send("second")?;
    /// # Ok(()) }
    /// ```
    pub fn in_reply_to(&self, message: &Message) -> Room {
        self.guarded(Some(guard_of_answer(message)))
    }

    /// Gives one of the agent's own messages a new text; what else it carries stays.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let mine = room.post("draft")?.first;
    /// room.edit(&mine, "final")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Agent::send`].
    pub fn edit<'m>(&self, message: impl Into<MessageRef<'m>>, text: impl AsRef<str>) -> Result<()> {
        self.agent.edit_in(&self.id, message.into().0, text.as_ref())
    }

    /// Gives one of the agent's own messages a new text and waits until the room shows it.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let mine = room.post("draft")?.first;
    /// room.post_edit(&mine.id, "final")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Agent::post_edit`].
    pub fn post_edit<'m>(
        &self,
        message: impl Into<MessageRef<'m>>,
        text: impl AsRef<str>,
    ) -> Result<MessageEdited> {
        self.agent().post_edit_in(self.id(), message.into().0, text.as_ref())
    }

    /// Posts a message that is going to be edited many times: a line of progress, say.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let mut line = room.editor("0 %")?;
    /// line.set("50 %")?;
    /// line.finish("done")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`post`](Room::post). A text that is too long for one message is [`Invalid`](crate::ErrorKind::Invalid).
    pub fn editor(&self, message: impl Into<Outgoing>) -> Result<Editor> {
        Editor::open(self, message.into())
    }

    /// A slash command, to be run here: `room.command("/roll 2d6").send()?`.
    ///
    /// Only the caller sees the result, unless it is asked to be [`visible`](Command::visible).
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let dice = room.command("/roll 2d6").send()?;
    /// println!("{}", dice.content);
    /// # Ok(()) }
    /// ```
    #[doc(alias = "executeCommand")]
    pub fn command<'a>(&'a self, text: impl Into<Cow<'a, str>>) -> Command<'a> {
        Command::new(self, text.into())
    }

    /// Begins a record of what is done from now on, to be shown with the answer.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let trace = room.trace();
    /// let notes = trace.command("/notes")?;
    /// room.send(crustocean::Outgoing::new(notes.content).trace(trace))?;
    /// # Ok(()) }
    /// ```
    #[doc(alias = "startTrace")]
    pub fn trace(&self) -> Trace {
        Trace::new(self.clone())
    }

    /// Shows in this room that the agent is thinking, and of what, until the returned guard is dropped. It is
    /// refreshed every 5 s and after a reconnect, also while your own code is busy.
    ///
    /// Of several in one room the newest shows, and when that is dropped the one before it. It is an ornament: it
    /// neither fails nor waits for a lost connection.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) {
    /// let thinking = room.thinking("reading the repo");
    /// // … two minutes of work …
    /// drop(thinking);
    /// # }
    /// ```
    pub fn thinking(&self, status: impl Into<String>) -> Thinking {
        Thinking::show(self, status.into())
    }

    /// Begins a run: a piece of work that the members of this room can watch, interrupt and read up on later
    /// (`client.runs()`). `trigger` is the message it is about, or [`Trigger::none`].
    ///
    /// There is one run in a room at a time; several rooms may have one each. If one is open here, this waits until it has
    /// ended, at most the [`run_wait`](crate::agent::AgentBuilder::run_wait) (5 minutes), and whoever waits longest comes
    /// first. [`try_start_run`](Room::try_start_run) does not wait. (A thread that still has a run here waits for itself:
    /// end the run first.)
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// let run = room.start_run(msg)?;
    /// run.status("looking it up")?;
    /// let price = run.command("/price ETH")?;
    /// let mut answer = run.stream()?;
    /// answer.push(&format!("ETH is at {}", price.output))?;
    /// answer.finish()?;
    /// run.complete("Done.")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Timeout`](crate::ErrorKind::Timeout) when this room has an open run that does not end in time,
    /// [`Closed`](crate::ErrorKind::Closed) when the agent ends meanwhile; else as [`Room::send`].
    #[doc(alias = "startRun")]
    pub fn start_run(&self, trigger: impl Into<Trigger>) -> Result<Run> {
        let until = deadline::after(self.agent.options().run_wait);
        Run::start(self, trigger.into(), Some(until))
    }

    /// As [`start_run`](Room::start_run), but says at once when a run is open in this room.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// use crustocean::ErrorKind;
    ///
    /// match room.try_start_run(msg) {
    ///     Ok(run) => run.complete("that was quick")?,
    ///     Err(error) if error.kind() == ErrorKind::Conflict => room.reply(msg, "one at a time, please")?,
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) when this room has an open run; else as [`Room::send`].
    pub fn try_start_run(&self, trigger: impl Into<Trigger>) -> Result<Run> {
        Run::start(self, trigger.into(), None)
    }

    /// Leaves the room: nothing of it is handed out any more, and it is not joined again after a reconnect. Then ends the
    /// membership, unless it is a direct-message conversation, which has no other end than
    /// [hiding](crate::rest::Dms::hide) it.
    ///
    /// [`join`](Agent::join) leads back in, and so does a new invitation where they are
    /// [followed](Agent::follow_invites).
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// room.leave()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What the server says to the end of the membership: [`Forbidden`](crate::ErrorKind::Forbidden) where only people
    /// may end theirs, or in the Lobby. The agent hears nothing of the room all the same.
    pub fn leave(&self) -> Result<()> {
        self.agent.leave(&self.id, self.about.dm)
    }
}

/// For the rest of the agent.
impl Room {
    pub(crate) fn new(agent: Agent, id: AgencyId, about: RoomInfo) -> Self {
        Room { agent, id, about, guard: None }
    }

    pub(crate) fn guarded(&self, guard: Option<LoopGuard>) -> Room {
        Room { guard: guard.map(Arc::new), ..self.clone() }
    }

    pub(crate) fn guard(&self) -> Option<&LoopGuard> {
        self.guard.as_deref()
    }

    fn outgoing(&self, message: impl Into<Outgoing>) -> Outgoing {
        message.into().guarded(self.guard())
    }

    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }
}
