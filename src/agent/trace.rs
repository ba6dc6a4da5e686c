//! A record of the steps of an answer.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Instant;

use crate::agent::Command;
use crate::agent::rooms::RoomHandle;
use crate::error::Result;
use crate::model::{CommandReply, TraceReport, TraceStatus, TraceStep};
use crate::sync::lock::Mutex;

/// Records steps (slash commands and any other work) with their durations and results. The message that carries the
/// record shows the record as a collapsible list.
///
/// Steps may be nested, and several threads may record at once. The list has the steps in the order in which they
/// began.
///
/// ```no_run
/// use crustocean::Outgoing;
///
/// # fn ask_a_model(notes: &str) -> std::io::Result<String> { Ok(notes.into()) }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let room = crustocean::Agent::from_env()?.join("lobby")?;
/// let trace = room.trace();
/// let notes = trace.command("/notes")?;
/// let answer = trace.try_step("call model", || ask_a_model(&notes.content))?;
/// room.send(Outgoing::new(answer).trace(trace))?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Trace {
    room: RoomHandle,
    began: Instant,
    steps: Mutex<Vec<TraceStep>>,
}

impl Trace {
    pub(crate) fn new(room: RoomHandle) -> Self {
        Trace { room, began: Instant::now(), steps: Mutex::default() }
    }

    /// Runs a slash command with the default settings of [`Room::command`](crate::Room::command) and records it under
    /// its text.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let trace = room.trace();
    /// let notes = trace.command("/notes")?;
    /// # let _ = notes;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Command::send`]. In that case the step has the status `error`. The step has the same status if
    /// the command itself fails.
    pub fn command<'a>(&self, text: impl Into<Cow<'a, str>>) -> Result<CommandReply> {
        self.run(&Command::new(&self.room, text.into()))
    }

    /// Runs a slash command with its own settings and records it under its text.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let trace = room.trace();
    /// let price = trace.run(&room.command("/price ETH").timeout(Duration::from_secs(5)))?;
    /// # let _ = price;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Command::send`].
    pub fn run(&self, command: &Command<'_>) -> Result<CommandReply> {
        let step = self.begin(command.text().trim());
        let reply = command.send();
        step.end(match &reply {
            Ok(reply) if reply.pending => TraceStatus::Custom("pending".to_owned()),
            Ok(reply) if reply.queued => TraceStatus::Custom("queued".to_owned()),
            Ok(reply) if reply.ok => TraceStatus::Done,
            Ok(_) | Err(_) => TraceStatus::Error,
        });
        reply
    }

    /// Records `work` as a step and returns its result. If `work` panics, the step has the status `error`.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let trace = room.trace();
    /// let answer = trace.step("add", || 40 + 2);
    /// # let _ = answer;
    /// # Ok(()) }
    /// ```
    pub fn step<T>(&self, name: impl Into<String>, work: impl FnOnce() -> T) -> T {
        let Ok(value) = self.try_step(name, || Ok::<_, Infallible>(work()));
        value
    }

    /// Like [`step`](Trace::step), for work that can fail: with an `Err`, the step has the status `error`.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> Result<(), Box<dyn std::error::Error>> {
    /// let trace = room.trace();
    /// let text = trace.try_step("read", || std::fs::read_to_string("notes.txt"))?;
    /// # let _ = text;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The error of `work`.
    pub fn try_step<T, E>(
        &self,
        name: impl Into<String>,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let step = self.begin(name);
        let value = work();
        step.end(if value.is_ok() { TraceStatus::Done } else { TraceStatus::Error });
        value
    }

    /// Adds a step that the program has measured itself.
    ///
    /// ```no_run
    /// use crustocean::model::TraceStep;
    ///
    /// # fn demo(room: &crustocean::Room) {
    /// let trace = room.trace();
    /// trace.record(TraceStep::new("search"));
    /// # }
    /// ```
    pub fn record(&self, step: TraceStep) {
        self.steps.lock().push(step);
    }

    /// Ends the record and returns it, for [`Outgoing::trace`](crate::Outgoing::trace). `Outgoing::trace` also takes
    /// the `Trace` itself.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) {
    /// let report = room.trace().finish();
    /// println!("{} steps", report.steps.len());
    /// # }
    /// ```
    pub fn finish(self) -> TraceReport {
        let mut report = TraceReport::from(self.steps.into_inner());
        report.duration = Some(self.began.elapsed());
        report
    }

    fn begin(&self, name: impl Into<String>) -> RunningStep<'_> {
        let mut steps = self.steps.lock();
        steps.push(TraceStep::new(name).status(TraceStatus::Error));
        RunningStep { trace: self, place: steps.len() - 1, began: Instant::now() }
    }
}

impl From<Trace> for TraceReport {
    fn from(trace: Trace) -> Self {
        trace.finish()
    }
}

/// A step that is running. The list has the step with the status `error` until the step ends, in case the work panics.
struct RunningStep<'a> {
    trace: &'a Trace,
    place: usize,
    began: Instant,
}

impl RunningStep<'_> {
    fn end(self, status: TraceStatus) {
        if let Some(step) = self.trace.steps.lock().get_mut(self.place) {
            step.status = Some(status);
        }
    }
}

impl Drop for RunningStep<'_> {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        if let Some(step) = self.trace.steps.lock().get_mut(self.place) {
            step.duration = Some(took);
        }
    }
}
