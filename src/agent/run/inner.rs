//! The part of a run that speaks to the server: it can end the run also when its user does not.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::agent::run::stopped::RunStop;
use crate::agent::run::transcript::{Step, Transcript, clip};
use crate::agent::send::metadata::JsonObject;
use crate::agent::send::outgoing::only_guard;
use crate::agent::{Agent, Room};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, RunId, UserId};

/// What all handles of a run share. It tells the server about the run, and ends it when no handle does.
#[derive(Debug)]
pub(crate) struct Core {
    pub(super) room: Room,
    pub(super) id: RunId,
    pub(super) transcript: Arc<Transcript>,
    pub(super) stopped: Arc<RunStop>,
    life: Mutex<Life>,
    begun: Condvar,
}

/// How far a run has come.
#[derive(Debug)]
struct Life {
    stage: Stage,
    /// Streams and tools that have not ended.
    parts: usize,
    /// Said already, and told when the last of these has ended.
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The server is being told that it begins.
    Starting,
    Open,
    /// Its user has ended it, or let it go.
    Ended,
    /// The agent has ended, and the run with it: nothing more may be told.
    GivenUp,
}

/// What the room is told of a run that ends with its agent.
const CLOSED: &str = "the agent was closed";
/// How long the end of the agent waits for a run that is just beginning.
const BEGINNING: Duration = Duration::from_millis(50);

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
#[derive(Debug)]
pub(super) enum End {
    Complete(String),
    Error(String),
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

impl Life {
    fn check_open(&self) -> Result<()> {
        match self.stage {
            Stage::Starting | Stage::Open => Ok(()),
            Stage::Ended => {
                Err(Error::invalid("this run has ended: begin another one with room.start_run(..)"))
            }
            Stage::GivenUp => Err(Error::closed()),
        }
    }
}

impl Core {
    pub(super) fn new(room: Room, id: RunId) -> Self {
        let transcript = Arc::new(Transcript::new());
        let life = Life { stage: Stage::Starting, parts: 0, end: None };
        Core { room, id, transcript, stopped: Arc::default(), life: Mutex::new(life), begun: Condvar::new() }
    }

    pub(super) fn agent(&self) -> &Agent {
        self.room.agent()
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server has been told that the run begins, or could not be.
    pub(super) fn has_begun(&self, outcome: &Result<()>) {
        let stage = {
            let mut life = self.life();
            if life.stage == Stage::Starting {
                // Unless it may have arrived, nobody knows of it.
                let unknown = outcome.as_ref().is_err_and(|error| !error.may_have_been_sent());
                life.stage = if unknown { Stage::Ended } else { Stage::Open };
            }
            life.stage
        };
        self.begun.notify_all();
        if stage == Stage::GivenUp && outcome.is_ok() {
            // The agent has ended meanwhile, and could not tell it.
            self.tell_end(&End::Error(CLOSED.to_owned()));
        }
    }

    /// # Errors
    /// Why nothing more can be begun in it.
    pub(super) fn check_open(&self) -> Result<()> {
        self.life().check_open()
    }

    /// One more stream or tool, which ends before the run does: [`part_ended`](Core::part_ended).
    ///
    /// # Errors
    /// As [`check_open`](Core::check_open).
    pub(super) fn begin_part(&self) -> Result<()> {
        let mut life = self.life();
        life.check_open()?;
        life.parts += 1;
        Ok(())
    }

    pub(super) fn part_ended(&self) {
        let end = {
            let mut life = self.life();
            life.parts = life.parts.saturating_sub(1);
            if life.parts == 0 { life.end.take() } else { None }
        };
        if let Some(end) = end {
            self.tell_end(&end);
            self.agent().inner.runs.remove(self);
        }
    }

    /// The first end is the one that counts. What is still open in the run ends before it.
    ///
    /// # Errors
    /// `Invalid` when it has ended, `Closed` when it did so with the agent, or why the end cannot be sent.
    pub(super) fn end(&self, end: End) -> Result<()> {
        let end = {
            let mut life = self.life();
            life.check_open()?;
            life.stage = Stage::Ended;
            if life.parts == 0 {
                Some(end)
            } else {
                life.end = Some(end);
                None
            }
        };
        self.stopped.end(false);
        let Some(end) = end else { return Ok(()) };
        let sent = self.send_end(&end, |name, ended| self.report_for_sure(name, ended));
        // Not before: the next one in this room begins after this one has ended.
        self.agent().inner.runs.remove(self);
        sent
    }

    /// The last handle is gone: ends it as an error if it has not ended, without waiting for anything.
    pub(super) fn let_go(&self, why: &str) {
        let was = {
            let mut life = self.life();
            let was = life.stage;
            if was != Stage::GivenUp {
                life.stage = Stage::Ended;
            }
            was
        };
        if matches!(was, Stage::Starting | Stage::Open) {
            self.stopped.end(false);
            self.tell_end(&End::Error(why.to_owned()));
        }
        self.agent().inner.runs.remove(self);
    }

    /// The agent ends: so does the run, without waiting for anything.
    pub(super) fn give_up(&self) {
        let end = {
            let starting = |life: &mut Life| life.stage == Stage::Starting;
            let waited = self.begun.wait_timeout_while(self.life(), BEGINNING, starting);
            let mut life = waited.unwrap_or_else(PoisonError::into_inner).0;
            let was = life.stage;
            if life.end.is_some() || was != Stage::Ended {
                life.stage = Stage::GivenUp;
            }
            match was {
                Stage::Open => Some(End::Error(CLOSED.to_owned())),
                _ => life.end.take(),
            }
        };
        if let Some(end) = end {
            self.tell_end(&end);
        }
    }

    fn tell_end(&self, end: &End) {
        let tell = |name: &'static str, ended: &Ended<'_>| {
            self.agent().session().deliver(name, &self.payload(ended)).map(drop)
        };
        if let Err(error) = self.send_end(end, tell) {
            crate::logging::info!("the end of run {} is not sent: {error}", self.id);
        }
    }

    /// Sends the end, with as much of the transcript as the server takes.
    fn send_end(&self, end: &End, send: impl Fn(&'static str, &Ended<'_>) -> Result<()>) -> Result<()> {
        let (name, summary, error) = match end {
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
        self.check_told()?;
        let payload = self.payload(more);
        loop {
            match self.agent().session().emit_on_any(name, &payload, until) {
                Err(error) if error.kind() == ErrorKind::MaybeSent && Instant::now() < until => {}
                other => return other,
            }
        }
    }

    /// After the end that the agent told, nothing may follow.
    fn check_told(&self) -> Result<()> {
        if self.life().stage == Stage::GivenUp { Err(Error::closed()) } else { Ok(()) }
    }

    /// Without waiting for anything: for destructors.
    pub(super) fn try_deliver(&self, name: &str, more: impl Serialize) -> Result<()> {
        self.check_told()?;
        self.agent().session().deliver(name, &self.payload(more)).map(drop)
    }
}

pub(super) fn is_of_the_link(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotSent | ErrorKind::MaybeSent)
}
