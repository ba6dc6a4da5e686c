//! The part of a run that speaks to the server: it can end the run also when its user does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::agent::run::transcript::{Step, Transcript, clip};
use crate::agent::send::metadata::JsonObject;
use crate::agent::send::outgoing::only_guard;
use crate::agent::{Agent, Room};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, RunId, UserId};

/// The open runs, and the rooms they are in.
#[derive(Debug, Default)]
pub(crate) struct OpenRuns(Mutex<Vec<(AgencyId, Weak<Core>)>>);

impl OpenRuns {
    fn lock(&self) -> MutexGuard<'_, Vec<(AgencyId, Weak<Core>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// `Invalid` when there is one in that room.
    pub(super) fn add(&self, core: &Arc<Core>) -> Result<()> {
        let mut open = self.lock();
        if open.iter().any(|(room, _)| room == core.room.id()) {
            return Err(Error::invalid(
                "a run is open in this room: end it with complete() or error() before the next",
            ));
        }
        open.push((core.room.id().clone(), Arc::downgrade(core)));
        Ok(())
    }

    pub(super) fn remove(&self, room: &AgencyId) {
        self.lock().retain(|(open, _)| open != room);
    }

    /// The agent is about to be closed: no run may hang in its room because of that. Returns them, to be dropped when it
    /// is: they may be the last handles of the agent.
    pub(crate) fn end_all(&self, why: &str) -> Vec<Arc<Core>> {
        let open: Vec<Arc<Core>> = self.lock().iter().filter_map(|(_, core)| core.upgrade()).collect();
        open.iter().for_each(|core| core.give_up(why));
        open
    }
}

/// What all handles of a run share. It tells the server about the run, and ends it when no handle does.
#[derive(Debug)]
pub(crate) struct Core {
    pub(super) room: Room,
    pub(super) id: RunId,
    pub(super) transcript: Arc<Transcript>,
    over: AtomicBool,
}

/// What every event of a run begins with.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a, T> {
    run_id: &'a RunId,
    agency_id: &'a AgencyId,
    agent_id: &'a UserId,
    username: &'a str,
    display_name: &'a str,
    #[serde(flatten)]
    more: T,
}

/// How a run ends, and with what words.
pub(super) enum End<'a> {
    Complete(&'a str),
    Error(&'a str),
}

#[derive(Serialize)]
struct Ended<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    transcript: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<JsonObject>,
}

impl Core {
    pub(super) fn new(room: Room, id: RunId) -> Self {
        let transcript = Arc::new(Transcript::new());
        Core { room, id, transcript, over: AtomicBool::new(false) }
    }

    pub(super) fn agent(&self) -> &Agent {
        self.room.agent()
    }

    /// Nothing is to be told of it any more.
    pub(super) fn forget(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// The first end is the one that counts.
    ///
    /// # Errors
    /// `Closed` when it had ended by the agent being closed, or why it cannot be sent.
    pub(super) fn end(&self, end: &End<'_>) -> Result<()> {
        if self.over.swap(true, Ordering::AcqRel) {
            return Err(Error::closed());
        }
        self.send_end(end, |name, ended| self.report_for_sure(name, ended))
    }

    /// Ends it as an error if it has not ended, without waiting for anything.
    pub(super) fn give_up(&self, why: &str) {
        if self.over.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Err(error) = self.send_end(&End::Error(why), |name, ended| self.try_deliver(name, ended)) {
            crate::logging::info!("the end of run {} is not sent: {error}", self.id);
        }
    }

    /// Sends the end, with as much of the transcript as the server takes.
    fn send_end(&self, end: &End<'_>, send: impl Fn(&'static str, &Ended<'_>) -> Result<()>) -> Result<()> {
        let (name, summary, error) = match *end {
            End::Complete(summary) => ("agent-run-complete", Some(clip(summary)), None),
            End::Error(error) => ("agent-run-error", None, Some(clip(error))),
        };
        match (&summary, &error) {
            (Some(summary), _) => self.transcript.push(&Step::Complete { summary }),
            (_, Some(message)) => self.transcript.push(&Step::Error { message }),
            (None, None) => {}
        }
        loop {
            let ended = Ended {
                summary: summary.as_deref(),
                error: error.as_deref(),
                transcript: self.transcript.all(),
                metadata: only_guard(self.room.guard()),
            };
            match send(name, &ended) {
                Err(error) if error.kind() == ErrorKind::Invalid && self.transcript.halve() => {}
                other => return other,
            }
        }
    }

    fn payload<T: Serialize>(&self, more: T) -> Payload<'_, T> {
        let me = &self.agent().inner.me;
        Payload {
            run_id: &self.id,
            agency_id: self.room.id(),
            agent_id: &me.id,
            username: &me.username,
            display_name: &me.display_name,
            more,
        }
    }

    pub(super) fn report(&self, name: &str, more: impl Serialize) -> Result<()> {
        let until = deadline::after(self.agent().options().send_timeout);
        self.emit(name, more, until).map(drop)
    }

    /// As [`report`](Core::report), but if the connection is not back in time it is sent later nevertheless: for what
    /// ends something that the room would see going on for ever.
    pub(super) fn report_for_sure(&self, name: &str, more: &impl Serialize) -> Result<()> {
        match self.report(name, more) {
            Err(error) if is_of_the_link(&error) => {
                if self.agent().session().deliver(name, &self.payload(more))? {
                    return Ok(());
                }
                let text = format!("the connection is down: {name} is sent as soon as it is back");
                Err(Error::new(ErrorKind::NotSent, text).with_source(error))
            }
            other => other,
        }
    }

    /// Returns the generation of the connection it went out on.
    ///
    /// What broke off midway is sent again: all events of a run carry ids or the state as a whole, so twice is once.
    pub(super) fn emit(&self, name: &str, more: impl Serialize, until: Instant) -> Result<u64> {
        let payload = self.payload(more);
        loop {
            match self.agent().session().emit_on_any(name, &payload, until) {
                Err(error) if error.kind() == ErrorKind::MaybeSent && Instant::now() < until => {}
                other => return other,
            }
        }
    }

    /// Without waiting for anything: for destructors.
    pub(super) fn try_deliver(&self, name: &str, more: impl Serialize) -> Result<()> {
        self.agent().session().deliver(name, &self.payload(more)).map(drop)
    }
}

pub(super) fn is_of_the_link(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotSent | ErrorKind::MaybeSent)
}
