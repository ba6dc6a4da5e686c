//! Recording what is done on the way to an answer.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::agent::{Command, Room};
use crate::error::Result;
use crate::model::{CommandReply, TraceReport, TraceStatus, TraceStep};

/// Records steps (slash commands, and anything else that takes its time) with their durations and how they ended.
/// The message that carries it shows them as a collapsible list.
///
/// Steps may be nested, and several threads may record at once: they are listed in the order in which they began.
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
    room: Room,
    began: Instant,
    steps: Mutex<Vec<TraceStep>>,
}

impl Trace {
    pub(crate) fn new(room: Room) -> Self {
        Trace { room, began: Instant::now(), steps: Mutex::default() }
    }

    /// Runs a slash command, silently, and records it under its text. As [`Room::command`] with its defaults.
    ///
    /// # Errors
    /// As [`Command::send`]; the step is an `error` then, and also when the command failed.
    pub fn command<'a>(&self, text: impl Into<Cow<'a, str>>) -> Result<CommandReply> {
        let text = text.into();
        self.run(&self.room.command(&*text))
    }

    /// Runs a slash command with settings of one's own, and records it under its text.
    ///
    /// # Errors
    /// As [`command`](Trace::command).
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

    /// Records whatever `work` does and hands on what it returns. If it panics, the step is an `error`.
    pub fn step<T>(&self, name: impl Into<String>, work: impl FnOnce() -> T) -> T {
        let step = self.begin(name);
        let value = work();
        step.end(TraceStatus::Done);
        value
    }

    /// As [`step`](Trace::step), for what can fail: an `Err` is a step that ended with `error`.
    ///
    /// # Errors
    /// Those of `work`.
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

    /// Adds a step that was measured elsewhere.
    pub fn record(&self, step: TraceStep) {
        self.steps().push(step);
    }

    /// What has been recorded. For [`Outgoing::trace`](crate::Outgoing::trace), which takes the trace itself, too.
    pub fn finish(self) -> TraceReport {
        let steps = self.steps.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut report = TraceReport::from(steps);
        report.duration = Some(self.began.elapsed());
        report
    }

    fn begin(&self, name: impl Into<String>) -> Step<'_> {
        let mut steps = self.steps();
        steps.push(TraceStep::new(name).status(TraceStatus::Error));
        Step { trace: self, place: steps.len() - 1, began: Instant::now() }
    }

    fn steps(&self) -> MutexGuard<'_, Vec<TraceStep>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Trace> for TraceReport {
    fn from(trace: Trace) -> Self {
        trace.finish()
    }
}

/// A step under way. It is on the list already, as one that went wrong, in case it panics.
struct Step<'a> {
    trace: &'a Trace,
    place: usize,
    began: Instant,
}

impl Step<'_> {
    fn end(self, status: TraceStatus) {
        if let Some(step) = self.trace.steps().get_mut(self.place) {
            step.status = Some(status);
        }
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        if let Some(step) = self.trace.steps().get_mut(self.place) {
            step.duration = Some(took);
        }
    }
}
