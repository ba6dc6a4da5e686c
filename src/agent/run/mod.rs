//! Runs: work that a room can watch, interrupt and read later.

mod inner;
mod interrupt;
mod open_runs;
mod part;
mod permission;
mod stopped;
mod stream;
mod tool;
mod transcript;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;

pub use interrupt::Interrupt;
use open_runs::OpenRun;
pub(crate) use open_runs::OpenRuns;
pub use permission::Permission;
pub use stream::Stream;
pub use tool::{ToolCall, ToolOutcome};

use crate::agent::Room;
use crate::agent::random::new_uuid;
use crate::agent::rooms::RoomHandle;
use crate::agent::send::outgoing::Answering;
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::{Message, MessageId, RunId, TranscriptEntry};
use crate::socket::SessionSubscription;
use crate::stop::Stop;
use inner::{Core, RunEnd, is_connection_error};
use transcript::{RecordedStep, clip};

/// The cause of a run: a message, or none.
///
/// A trigger needs the whole message and not only its id, because the run's own messages carry the loop guard of that
/// message.
///
/// ```no_run
/// use crustocean::run::Trigger;
///
/// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
/// let run = room.start_run(Trigger::none())?;
/// run.complete("The nightly report is ready.")?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Trigger {
    answering: Option<Answering>,
}

impl Trigger {
    /// A run without a message.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let run = room.start_run(crustocean::run::Trigger::none())?;
    /// run.complete("done")?;
    /// # Ok(()) }
    /// ```
    pub fn none() -> Self {
        Trigger::default()
    }
}

impl From<&Message> for Trigger {
    fn from(message: &Message) -> Self {
        Trigger { answering: Some(Answering::of(message)) }
    }
}

impl From<Option<&Message>> for Trigger {
    fn from(message: Option<&Message>) -> Self {
        message.map(Trigger::from).unwrap_or_default()
    }
}

/// An open run. Returned by [`Room::start_run`].
///
/// The room sees its reports live. The run also records the reports for the transcript, which
/// [`complete`](Run::complete) or [`error`](Run::error) sends. If the run is dropped without either call (by an early
/// return, a `?` or a panic), the run ends as an error with its transcript. A run never stays open in the room. The run
/// ends in the same way if the agent is [closed](crate::Agent::close) first.
///
/// A lost connection does not end the run. Reports wait for the connection like messages. If the connection breaks
/// while a report is being sent, the crate sends the report again on the next connection. The crate repeats the start
/// of the run, too: the run sends no other report before its start, so a second start with the same id resets nothing.
/// The crate does not repeat a report that it has sent completely, so the room may miss the last reports before a loss.
/// The transcript has all reports.
///
/// The crate cuts text and JSON over 32 KiB and adds a note. A transcript over 640 KiB omits its oldest entries except
/// the first; an entry `omitted` has their number.
///
/// All messages of a run carry the loop guard of the message that triggered the run: its streams, its summary, and
/// messages sent through [`run.room()`](Run::room). So two agents that answer each other with runs stop at the limit of
/// the loop guard.
///
/// A `Run` is a handle, cheap to clone, for one or several threads. All clones, and the run's [`Stream`]s and
/// [`ToolCall`]s, belong to the same run. The run ends as an error when the *last* of them is dropped. `complete` and
/// `error` end the run for all of them; later calls fail. Streams and tools that are open then can still end normally;
/// the room sees the run's end after them.
///
/// ```no_run
/// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
/// let run = room.start_run(msg)?;
/// run.status("reading the price")?;
/// let price = run.command("/price ETH")?;
/// if run.request_permission("post_price", "Post the price here?")?.is_granted() {
///     let mut answer = run.stream()?;
///     answer.push(&price.output)?;
///     answer.finish()?;
/// }
/// run.complete("Done.")?;
/// # Ok(()) }
/// ```
#[must_use = "if you drop the run, it ends as an error: keep it, and call complete() or error()"]
#[derive(Clone)]
pub struct Run {
    core: Arc<Core>,
    handle: Arc<RunHandle>,
}

/// All handles that the program holds share this. The drop of the last handle ends the run.
struct RunHandle {
    core: Arc<Core>,
    room: Room,
    interrupts: SessionSubscription,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("id", self.id()).field("room", &self.core.room.id).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Start<'a> {
    #[serde(rename = "triggerMessageId")]
    trigger_message_id: Option<&'a MessageId>,
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'a str,
}

impl Run {
    /// Starts a run. If another run is open in this room, waits at most `limit` for its end.
    pub(super) fn start(room: &RoomHandle, trigger: Trigger, limit: Duration) -> Result<Run> {
        Run::start_by(room, trigger, Some(deadline::after(limit)))
    }

    /// Starts a run, unless another run is open in this room.
    pub(super) fn try_start(room: &RoomHandle, trigger: Trigger) -> Result<Run> {
        Run::start_by(room, trigger, None)
    }

    fn start_by(room: &RoomHandle, trigger: Trigger, until: Option<Instant>) -> Result<Run> {
        let agent = &room.agent;
        // If the trigger has no message, the run keeps the message that the room handle answers.
        let trigger_message_id = trigger.answering.as_ref().map(|answering| answering.to.clone());
        let room = room.answering(trigger.answering.or_else(|| room.answered().cloned()));
        let core = Arc::new(Core::new(room.clone(), RunId::from(new_uuid())));
        agent.session.check_open()?;
        let open: Weak<dyn OpenRun> = Arc::downgrade(&core) as _;
        agent.runs.add(&core.room.id, open, until)?;
        let interrupts = interrupt::watch(&core);
        let handle = Arc::new(RunHandle { core: Arc::clone(&core), room: Room::new(room), interrupts });
        let run = Run { core, handle };
        let trigger_message_id = trigger_message_id.as_ref();
        run.note(&RecordedStep::Start { trigger_message_id });
        let reported = run.core.report("agent-run-start", Start { trigger_message_id });
        run.core.has_begun(&reported);
        reported.map(|()| run)
    }

    fn note(&self, step: &RecordedStep<'_>) {
        self.core.transcript.push(step);
    }

    /// The run's id.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run, client: &crustocean::Client) -> crustocean::Result<()> {
    /// let record = client.runs().get(run.id())?;
    /// println!("{} steps", record.transcript.len());
    /// # Ok(()) }
    /// ```
    pub fn id(&self) -> &RunId {
        &self.core.id
    }

    /// The run's room. Messages sent through this handle are part of the answer to the triggering message and carry
    /// its loop guard.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// run.room().send("This takes a minute.")?;
    /// # Ok(()) }
    /// ```
    pub fn room(&self) -> &Room {
        &self.handle.room
    }

    /// Shows what the agent is doing now, in a few words.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// run.status("searching the web")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the run has ended; otherwise the kinds of [`Room::send`]. If only the
    /// send fails, the transcript has the status nevertheless.
    #[doc(alias = "setStatus")]
    pub fn status(&self, status: impl AsRef<str>) -> Result<()> {
        self.core.check_open()?;
        let status = &*clip(status.as_ref());
        self.note(&RecordedStep::Status { status });
        self.core.report("agent-run-status", Status { status })
    }

    /// Adds your own entry to the transcript: a JSON object whose `type` names its kind. The crate adds `ts`, the
    /// milliseconds since the start of the run.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// run.record(&serde_json::json!({ "type": "model", "name": "small", "tokens": 512 }))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the entry is not such an object or is larger than 64 KiB, or if the
    /// run has ended; [`Closed`](crate::ErrorKind::Closed) if the agent was closed.
    pub fn record(&self, entry: &impl Serialize) -> Result<()> {
        self.core.check_open()?;
        self.core.transcript.record(entry)
    }

    /// The transcript so far.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) {
    /// for entry in run.transcript() {
    ///     println!("{:?} {}", entry.at(), entry.kind());
    /// }
    /// # }
    /// ```
    pub fn transcript(&self) -> Vec<TranscriptEntry> {
        self.core.transcript.typed()
    }

    /// Ends the run as completed. The room gets the summary, the platform gets the transcript. If streams or tools are
    /// open, the crate sends the end of the run when the last stream or tool has ended.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// let run = room.start_run(msg)?;
    /// run.complete("3 files changed")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the run has already ended; otherwise the kinds of [`Room::send`].
    /// After [`NotSent`](crate::ErrorKind::NotSent) because of a lost connection, the crate sends the end of the run
    /// after the reconnect.
    pub fn complete(&self, summary: impl AsRef<str>) -> Result<()> {
        self.core.end(RunEnd::Complete(summary.as_ref().to_owned()))
    }

    /// Ends the run as failed. The room gets the message, the platform gets the transcript.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// let run = room.start_run(msg)?;
    /// run.error("the language model did not answer")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`complete`](Run::complete).
    pub fn error(&self, message: impl AsRef<str>) -> Result<()> {
        self.core.end(RunEnd::Error(message.as_ref().to_owned()))
    }
}

/// # Interrupts
impl Run {
    /// Takes the next interrupt if there is one, in the order of arrival. Call this method between two steps of the
    /// work.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// for page in 1..=10 {
    ///     if run.interrupt().is_some() {
    ///         break;
    ///     }
    ///     run.status(format!("reading page {page}"))?;
    /// }
    /// # Ok(()) }
    /// ```
    #[doc(alias = "onInterrupt")]
    pub fn interrupt(&self) -> Option<Interrupt> {
        self.wait_interrupt(Duration::ZERO).ok().flatten()
    }

    /// Waits at most `timeout` for an interrupt. Returns `None` if none came.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// run.status("starting in 10 s")?;
    /// if let Some(interrupt) = run.wait_interrupt(Duration::from_secs(10))? {
    ///     println!("not started: {:?}", interrupt.message);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) if the agent was closed.
    pub fn wait_interrupt(&self, timeout: Duration) -> Result<Option<Interrupt>> {
        let until = deadline::after(timeout);
        let event = self.handle.interrupts.next(until)?;
        event
            .map(|event| {
                interrupt::read(&event, &self.core.id).ok_or_else(|| Error::protocol("not an interrupt"))
            })
            .transpose()
    }

    /// Whether the work should stop: a member of the room asked for a stop, or the agent was closed or stopped. The
    /// result stays `true` after the interrupt was taken.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run, steps: &[&str]) -> crustocean::Result<()> {
    /// for step in steps {
    ///     if run.is_stopped() {
    ///         break;
    ///     }
    ///     run.status(step)?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn is_stopped(&self) -> bool {
        self.core.stopped.is_asked()
    }

    /// Returns a [`Stop`] that is stopped when a member of the room asks for a stop, when the agent is closed or
    /// stopped, and when the run ends. The `Stop` ends a [`reader`](Stop::reader) for the response of a language model,
    /// ends a [`wait`](Stop::wait), and calls the callbacks of [`on_stop`](Stop::on_stop). All calls return the same
    /// `Stop`.
    ///
    /// ```no_run
    /// use std::io::{BufRead, BufReader, Read};
    ///
    /// fn answer(run: &crustocean::run::Run, body: impl Read + Send + 'static) -> std::io::Result<()> {
    ///     // Ends at once when somebody says stop, not with the next line.
    ///     for line in BufReader::new(run.stopped().reader(body)?).lines() {
    ///         println!("{}", line?);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn stopped(&self) -> Stop {
        self.core.stopped.switch()
    }
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        if self.core.agent().session.is_foreign() {
            return;
        }
        let why = if std::thread::panicking() {
            "the agent panicked"
        } else {
            "the agent ended the run without a reason"
        };
        self.core.release(why);
    }
}
