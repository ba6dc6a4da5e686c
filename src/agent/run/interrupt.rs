//! Interrupts of a run by members of the room.

use std::sync::Arc;

use serde::Deserialize;

use crate::agent::run::inner::Core;
use crate::agent::run::transcript::{RecordedStep, clip};
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
    core.agent().session.subscribe(Box::new(move |event| {
        let Some(interrupt) = read(event, &run) else { return false };
        if interrupt.action == InterruptAction::Stop {
            stopped.ask();
        }
        let (action, message) = (clip(interrupt.action.as_str()), interrupt.message.as_deref().map(clip));
        transcript.push(&RecordedStep::Interrupt { action: &action, message: message.as_deref() });
        true
    }))
}
