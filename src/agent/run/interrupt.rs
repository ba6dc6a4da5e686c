//! What members of the room call into a run.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::agent::run::Run;
use crate::agent::run::inner::Core;
use crate::agent::run::transcript::{Step, clip};
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::{InterruptAction, RunId};
use crate::socket::{RawEvent, Session, SessionSubscription};

pub(crate) const INTERRUPT: &str = "agent-run-interrupt";

/// Somebody in the room wants a run to stop or to change course.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interrupt {
    /// What for.
    pub action: InterruptAction,
    /// What was said along with it.
    pub message: Option<String>,
}

/// The payload of the event.
#[derive(Deserialize)]
#[serde(remote = "Self")]
struct Wire {
    /// Which run.
    #[serde(rename = "runId")]
    pub run_id: RunId,
    /// What is asked for.
    pub action: String,
    /// What to do instead.
    pub message: Option<String>,
}

lenient!(read Wire);

/// The interrupt in an event, if it is one of this run.
pub(crate) fn read(event: &RawEvent, run: &RunId) -> Option<Interrupt> {
    if event.name() != INTERRUPT {
        return None;
    }
    let wire: Wire = event.first().ok().filter(|wire: &Wire| wire.run_id == *run)?;
    Some(Interrupt { action: wire.action.into(), message: wire.message })
}

/// Those of one run. They are noted when they come, whether somebody looks or not.
pub(super) struct Interrupts {
    watch: SessionSubscription,
}

impl Interrupts {
    pub(super) fn watch(session: &Session, core: &Core) -> Self {
        let (stopped, transcript) = (Arc::clone(&core.stopped), Arc::clone(&core.transcript));
        let run = core.id.clone();
        let watch = session.subscribe(Box::new(move |event| {
            let Some(interrupt) = read(event, &run) else { return false };
            if interrupt.action == InterruptAction::Stop {
                stopped.ask();
            }
            let (action, message) = (clip(interrupt.action.as_str()), interrupt.message.as_deref().map(clip));
            transcript.push(&Step::Interrupt { action: &action, message: message.as_deref() });
            true
        }));
        Interrupts { watch }
    }
}

impl Run {
    /// The next interrupt that nobody has taken yet, if there is one: for looking between two steps. They come in
    /// order.
    #[doc(alias = "onInterrupt")]
    pub fn interrupt(&self) -> Option<Interrupt> {
        self.wait_interrupt(Duration::ZERO).ok().flatten()
    }

    /// Waits for an interrupt, `timeout` at most.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) when the agent was closed.
    pub fn wait_interrupt(&self, timeout: Duration) -> Result<Option<Interrupt>> {
        let until = deadline::after(timeout);
        let event = self.handle.interrupts.watch.next(until)?;
        event
            .map(|event| read(&event, &self.core.id).ok_or_else(|| Error::protocol("not an interrupt")))
            .transpose()
    }
}
