//! A room that the agent has joined.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::agent::rooms::{RoomHandle, join, recent};
use crate::agent::run::{Run, Trigger};
use crate::agent::send::outgoing::Answering;
use crate::agent::send::{edit, parts, unsent};
use crate::agent::{
    Command, ConversationReader, Editor, Event, MessageRef, Outgoing, Posted, RoomRef, Thinking, Trace,
    notes, wait_for,
};
use crate::error::Result;
use crate::model::{AgencyId, List, Member, Message, MessageEdited};
use crate::rest::Messages;

/// A handle to a joined room (an agency or a direct-message conversation). Cheap to clone.
///
/// The handle stays valid across reconnects: the agent joins its rooms again.
///
/// ```no_run
/// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
/// let room = agent.join("lobby")?;
/// room.send("hello")?;
/// for message in room.recent(20)? {
///     println!("{}: {}", message.sender_username, message.content);
/// }
/// room.leave()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Room(RoomHandle);

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// # Sending
impl Room {
    /// Sends a message to this room. Returns when this computer has handed the message to its network. The room may not
    /// show the message yet: [`post`](Room::post) waits until the room shows it.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// room.send("hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Agent::send`](crate::Agent::send).
    pub fn send(&self, message: impl Into<Outgoing>) -> Result<()> {
        parts::send_to(&self.0.agent, &self.0.id, &self.0.outgoing(message.into()))
    }

    /// Like [`send`](Room::send), but never waits for a lost connection.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// room.try_send("now or never")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Agent::try_send`](crate::Agent::try_send).
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<()> {
        parts::try_send_to(&self.0.agent, &self.0.id, &self.0.outgoing(message.into()))
    }

    /// Sends a message and waits until the room shows it. Returns the message as the room shows it. If the text is too
    /// long for one message, returns all parts.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let posted = room.post("hello")?;
    /// room.edit(&posted.first, "hello again")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Agent::post`](crate::Agent::post).
    pub fn post(&self, message: impl Into<Outgoing>) -> Result<Posted> {
        unsent::post_to(&self.0.agent, &self.0.id, self.0.outgoing(message.into()))
    }

    /// Answers a message in this room. The answer carries the message's loop guard, one hop further. The message may
    /// be from another room.
    ///
    /// An answer that begins with a slash starts with `… ` in the room, because the platform would run it as a command
    /// of the agent.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// room.reply(msg, "hello")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Agent::send`](crate::Agent::send).
    pub fn reply(&self, to: &Message, message: impl Into<Outgoing>) -> Result<()> {
        self.in_reply_to(to).send(message)
    }

    /// Answers a message in this room and waits until the room shows the answer: the confirmed form of
    /// [`reply`](Room::reply). Returns the answer as the room shows it.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// let answer = room.post_reply(msg, "one moment")?.first;
    /// room.edit(&answer, "42")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Agent::post`](crate::Agent::post).
    pub fn post_reply(&self, to: &Message, message: impl Into<Outgoing>) -> Result<Posted> {
        self.in_reply_to(to).post(message)
    }

    /// Returns a handle to this room for an answer: all messages sent through the handle carry the loop guard of
    /// `message`, one hop further. Use it for an answer of several messages. A [run](Room::start_run) does this by
    /// itself.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// let answer = room.in_reply_to(msg);
    /// answer.send("first")?;
    /// answer.send("second")?;
    /// # Ok(()) }
    /// ```
    pub fn in_reply_to(&self, message: &Message) -> Room {
        Room(self.0.answering(Some(Answering::of(message))))
    }

    /// Changes the text of one of the agent's own messages; its other fields stay.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let mine = room.post("draft")?.first;
    /// room.edit(&mine, "final")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Agent::edit`](crate::Agent::edit).
    pub fn edit<'m>(&self, message: impl Into<MessageRef<'m>>, text: impl AsRef<str>) -> Result<()> {
        edit::edit_in(&self.0.agent, &self.0.id, message.into().0, text.as_ref())
    }

    /// Changes the text of one of the agent's own messages and waits until the room shows it.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let mine = room.post("draft")?.first;
    /// room.post_edit(&mine.id, "final")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Agent::post_edit`](crate::Agent::post_edit).
    pub fn post_edit<'m>(
        &self,
        message: impl Into<MessageRef<'m>>,
        text: impl AsRef<str>,
    ) -> Result<MessageEdited> {
        edit::post_edit_in(&self.0.agent, &self.0.id, message.into().0, text.as_ref())
    }

    /// Posts a message whose text will change many times, such as a progress line.
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
    /// The kinds of [`post`](Room::post). A text that is too long for one message is
    /// [`Invalid`](crate::ErrorKind::Invalid).
    pub fn editor(&self, message: impl Into<Outgoing>) -> Result<Editor> {
        Editor::open(&self.0, message.into())
    }
}

/// # Work that the room can watch
impl Room {
    /// Starts a run: work that the members of this room can watch, interrupt, and read later (`client.runs()`).
    /// `trigger` is the message that asked for the run, or [`Trigger::none`].
    ///
    /// A room has at most one open run; several rooms may each have a run. If a run is open in this room, the call
    /// waits until that run has ended, at most the [`run_wait`](crate::agent::AgentBuilder::run_wait) (5 minutes by
    /// default). Of several waiting threads, the thread that has waited longest starts first.
    /// [`try_start_run`](Room::try_start_run) does not wait. A thread that holds an open run of this room must end that
    /// run first; otherwise the thread waits for itself.
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
    /// [`Timeout`](crate::ErrorKind::Timeout) if this room has an open run that does not end in time;
    /// [`Closed`](crate::ErrorKind::Closed) if the agent ends meanwhile; otherwise the kinds of [`Room::send`].
    #[doc(alias = "startRun")]
    pub fn start_run(&self, trigger: impl Into<Trigger>) -> Result<Run> {
        Run::start(&self.0, trigger.into(), self.0.agent.options.run_wait)
    }

    /// Like [`start_run`](Room::start_run), but fails at once if a run is open in this room.
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
    /// [`Conflict`](crate::ErrorKind::Conflict) if this room has an open run; otherwise the kinds of [`Room::send`].
    pub fn try_start_run(&self, trigger: impl Into<Trigger>) -> Result<Run> {
        Run::try_start(&self.0, trigger.into())
    }

    /// Shows in this room that the agent is thinking, with a status text, until the returned guard is dropped. The
    /// crate sends the status again every 5 s and after a reconnect, even while your code is busy.
    ///
    /// If a room has several guards, the room shows the status of the newest guard. When that guard is dropped, the
    /// room shows the previous status again. This method never fails and never waits for a lost connection.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) {
    /// let thinking = room.thinking("reading the repo");
    /// // … two minutes of work …
    /// drop(thinking);
    /// # }
    /// ```
    pub fn thinking(&self, status: impl Into<String>) -> Thinking {
        Thinking::show(&self.0, status.into())
    }
}

/// # Commands
impl Room {
    /// Prepares a slash command in this room. [`Command::send`] runs the command.
    ///
    /// Only the agent sees the result, unless the command is made [`visible`](Command::visible).
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let dice = room.command("/roll 2d6").send()?;
    /// println!("{}", dice.content);
    /// # Ok(()) }
    /// ```
    #[doc(alias = "executeCommand")]
    pub fn command<'a>(&'a self, text: impl Into<Cow<'a, str>>) -> Command<'a> {
        Command::new(&self.0, text.into())
    }

    /// Starts a record of steps. Attach the record to the answer with [`Outgoing::trace`].
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
        Trace::new(self.0.clone())
    }
}

/// # History and members
impl Room {
    /// The last `count` messages, oldest first. Useful as the context for a language model.
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
    /// The kinds of [every REST call](crate::rest#errors); [`Forbidden`](crate::ErrorKind::Forbidden) if the agent may
    /// not read the room.
    #[doc(alias = "getRecentMessages")]
    pub fn recent(&self, count: usize) -> Result<Vec<Message>> {
        recent::recent(&self.0, count)
    }

    /// The room's messages, newest first: one page, or all of them.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// for message in room.history().iter() {
    ///     println!("{}", message?.content);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn history(&self) -> Messages<'_> {
        self.0.history()
    }

    /// The conversation in this room up to a message, in the form that a language model takes: role, name and text.
    /// Contains the last 8,000 characters unless [`characters`](ConversationReader::characters) says otherwise.
    ///
    /// ```no_run
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// let turns = mention.room().conversation(&mention).characters(8_000).turns()?;
    /// # let _ = turns;
    /// # Ok(()) }
    /// ```
    pub fn conversation<'a>(&'a self, to: &'a Message) -> ConversationReader<'a> {
        ConversationReader::new(&self.0, to)
    }

    /// The members at the agent's last join, including joins after a reconnect. Empty if the agent has not joined the
    /// room or the server sent no members; [`fetch_members`](Room::fetch_members) asks the server.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("{} were here", room.members().len());
    /// # Ok(()) }
    /// ```
    pub fn members(&self) -> &[Member] {
        &self.0.about.members
    }

    /// Asks the server who is in the room now.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("{} are here", room.fetch_members()?.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [every REST call](crate::rest#errors); [`Forbidden`](crate::ErrorKind::Forbidden) if the agent may
    /// not read the room.
    pub fn fetch_members(&self) -> Result<List<Member>> {
        self.0.agent.client.agencies().members(&self.0.id)
    }
}

/// # Events
impl Room {
    /// Waits at most `limit` for a new event of this room for which `wanted` returns `true`. The call takes no event
    /// away from other loops. To wait for the result of an action, [subscribe](crate::Agent::subscribe) before the
    /// action.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use crustocean::Event;
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let minute = Duration::from_secs(60);
    /// let event = room.wait_for(minute, |event| matches!(event, Event::Message(msg) if msg.content == "go"))?;
    /// # let _ = event;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Timeout`](crate::ErrorKind::Timeout) if no such event comes in time; [`Closed`](crate::ErrorKind::Closed) if
    /// the agent ends.
    pub fn wait_for(&self, limit: Duration, wanted: impl FnMut(&Event) -> bool) -> Result<Event> {
        wait_for::wait_for(&self.0, limit, wanted)
    }
}

/// # Notes
impl Room {
    /// Stores a text as a note of the room, under a name of one word (the command `/save`). Everybody in the room can
    /// read the note.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// room.save_note("repo", "https://example.com/larry.git")?;
    /// assert!(room.note("repo")?.is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a name that is not one word, or an empty text;
    /// [`Rejected`](crate::ErrorKind::Rejected) with the server's message; otherwise the kinds of
    /// [`Command::send`](crate::agent::Command::send).
    pub fn save_note(&self, name: &str, text: &str) -> Result<()> {
        notes::save(&self.0, name, text)
    }

    /// Returns the text of a note (the command `/get`). Returns `None` if the server rejects the command, most likely
    /// because the room has no such note.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// match room.note("repo")? {
    ///     Some(text) => println!("the repository is at {text}"),
    ///     None => println!("no such note"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a name that is not one word; otherwise the kinds of
    /// [`Command::send`](crate::agent::Command::send).
    pub fn note(&self, name: &str) -> Result<Option<String>> {
        notes::get(&self.0, name)
    }

    /// Removes a note (the command `/clearnote`).
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// room.clear_note("repo")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`save_note`](Room::save_note).
    pub fn clear_note(&self, name: &str) -> Result<()> {
        notes::clear(&self.0, name)
    }
}

/// # The room itself
impl Room {
    /// The room's id.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("{}", room.id());
    /// # Ok(()) }
    /// ```
    pub fn id(&self) -> &AgencyId {
        &self.0.id
    }

    /// The agency's slug, if it is known from the join or from a list.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("#{}", room.slug().unwrap_or("?"));
    /// # Ok(()) }
    /// ```
    pub fn slug(&self) -> Option<&str> {
        self.0.about.slug.as_deref()
    }

    /// The agency's name or the name of the other user, if it is known.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("{}", room.name().unwrap_or("?"));
    /// # Ok(()) }
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.0.about.name.as_deref()
    }

    /// Whether this is a direct-message conversation.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// println!("just the two of us: {}", room.is_dm());
    /// # Ok(()) }
    /// ```
    pub fn is_dm(&self) -> bool {
        self.0.about.dm
    }

    /// Leaves the room. The agent gets no more events of the room and does not join the room again after a reconnect.
    /// In an agency, this also ends the membership. A direct-message conversation has no membership to end;
    /// [`hide`](crate::rest::Dms::hide) hides the conversation.
    ///
    /// [`Agent::join`](crate::Agent::join) enters the room again. A new invitation also enters the room again if the
    /// agent [follows](crate::Agent::follow_invites) invitations.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// room.leave()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [every REST call](crate::rest#errors) if the server does not end the membership;
    /// [`Forbidden`](crate::ErrorKind::Forbidden) in the Lobby, or in a room that only people may leave. The agent gets
    /// no more events of the room in any case.
    pub fn leave(&self) -> Result<()> {
        join::leave(&self.0.agent, &self.0.id, self.0.about.dm)
    }
}

/// Used by the agent's other files.
impl Room {
    pub(crate) fn new(room: RoomHandle) -> Self {
        Room(room)
    }
}

impl From<&Room> for RoomRef {
    fn from(room: &Room) -> Self {
        RoomRef::Id(room.id().clone())
    }
}
