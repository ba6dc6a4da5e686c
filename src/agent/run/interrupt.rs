//! Interrupts of a run by members of the room.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::agent::run::Run;
use crate::agent::run::inner::Core;
use crate::agent::run::transcript::{RecordedStep, clip};
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::{InterruptAction, RunId};
use crate::socket::{RawEvent, SessionSubscription};

pub(crate) const INTERRUPT: &str = "agent-run-interrupt";

/// A request of a member of the room to stop a run or to change its course.
///
/// ```no_run
/// use crustocean::model::InterruptAction;
///
/// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
/// while let Some(interrupt) = run.interrupt() {
///     match interrupt.action {
///         InterruptAction::Adjust => println!("new instruction: {:?}", interrupt.message),
///         _ => return run.status("stopping"),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interrupt {
    /// The requested action.
    pub action: InterruptAction,
    /// The member's message.
    pub message: Option<String>,
}

/// The payload of the event.
#[derive(Deserialize)]
#[serde(remote = "Self")]
struct InterruptPayload {
    /// The run.
    #[serde(rename = "runId")]
    pub run_id: RunId,
    /// The requested action.
    pub action: String,
    /// The instruction.
    pub message: Option<String>,
}

lenient!(read InterruptPayload);

/// The interrupt in an event, if the interrupt is for this run.
pub(crate) fn read(event: &RawEvent, run: &RunId) -> Option<Interrupt> {
    if event.name() != INTERRUPT {
        return None;
    }
    let payload: InterruptPayload =
        event.first().ok().filter(|payload: &InterruptPayload| payload.run_id == *run)?;
    Some(Interrupt { action: payload.action.into(), message: payload.message })
}

/// Subscribes to the interrupts of a run. The transcript records each interrupt when it arrives.
pub(super) fn watch(core: &Core) -> SessionSubscription {
    let (stopped, transcript) = (Arc::clone(&core.stopped), Arc::clone(&core.transcript));
    let run = core.id.clone();
    core.agent().session().subscribe(Box::new(move |event| {
        let Some(interrupt) = read(event, &run) else { return false };
        if interrupt.action == InterruptAction::Stop {
            stopped.ask();
        }
        let (action, message) = (clip(interrupt.action.as_str()), interrupt.message.as_deref().map(clip));
        transcript.push(&RecordedStep::Interrupt { action: &action, message: message.as_deref() });
        true
    }))
}

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
            .map(|event| read(&event, &self.core.id).ok_or_else(|| Error::protocol("not an interrupt")))
            .transpose()
    }
}
