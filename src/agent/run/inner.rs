//! Reports a run to the server, and ends the run even if the program does not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::agent::Outgoing;
use crate::agent::handle::AgentHandle;
use crate::agent::rooms::RoomHandle;
use crate::agent::run::open_runs::OpenRun;
use crate::agent::run::part::{
    FAILED, OpenPart, OpenParts, PartNumber, STREAM, StreamUpdate, TOOL_RESULT, ToolResult,
};
use crate::agent::run::stopped::RunStop;
use crate::agent::run::transcript::{RecordedStep, RunTranscript, clip, clip_value};
use crate::agent::send::metadata::JsonObject;
use crate::agent::send::outgoing::{ON_EVERY_PART, only_guard};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, MessageId, RunId, UserId};
use crate::sync::lock::{Condvar, Mutex};

/// The state that all handles of a run share. `Core` reports the run to the server, and ends the run with the last
/// handle.
#[derive(Debug)]
pub(crate) struct Core {
    pub(super) room: RoomHandle,
    pub(super) id: RunId,
    pub(super) transcript: Arc<RunTranscript>,
    pub(super) stopped: Arc<RunStop>,
    life: Mutex<Life>,
    begun: Condvar,
}

/// The progress of a run.
#[derive(Debug)]
struct Life {
    stage: Stage,
    parts: OpenParts,
    /// The end that the program has requested. The run reports the end when the last stream or tool has ended.
    end: Option<RunEnd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A thread is reporting the start of the run.
    Starting,
    Open,
    /// The program has ended or dropped the run.
    Ended,
    /// The agent has ended, and has ended the run. The program can report nothing more.
    GivenUp,
}

/// The message of a run that ends with its agent.
const CLOSED: &str = "the agent was closed";
/// How long the end of the agent waits for the report of a run's start.
const BEGINNING: Duration = Duration::from_millis(50);

/// The fields that every event of a run has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunEventPayload<'a, T> {
    run_id: &'a RunId,
    agency_id: &'a AgencyId,
    agent_id: &'a UserId,
    username: &'a str,
    display_name: &'a str,
    #[serde(flatten)]
    more: T,
}

/// The end of a run, with its text.
#[derive(Debug)]
pub(super) enum RunEnd {
    Complete(String),
    Error(String),
}

#[derive(Serialize)]
struct RunEndPayload<'a> {
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
                Err(Error::invalid("this run has ended: start another run with room.start_run(..)"))
            }
            Stage::GivenUp => Err(Error::closed()),
        }
    }
}

impl OpenRun for Core {
    fn end_waits(&self) {
        self.stopped.end(true);
    }

    /// Waits at most 50 ms, and only while a thread is reporting the start of the run.
    fn give_up(&self) {
        let (parts, end) = {
            let starting = |life: &mut Life| life.stage == Stage::Starting;
            let mut life = self.begun.wait_timeout_while(self.life.lock(), BEGINNING, starting);
            let was = life.stage;
            if life.end.is_some() || was != Stage::Ended {
                life.stage = Stage::GivenUp;
            }
            let end = match was {
                Stage::Open => Some(RunEnd::Error(CLOSED.to_owned())),
                _ => life.end.take(),
            };
            (life.parts.take_all(), end)
        };
        parts.for_each(|part| self.give_up_part(part));
        if let Some(end) = end {
            self.report_end(&end);
        }
    }
}

impl Core {
    pub(super) fn new(room: RoomHandle, id: RunId) -> Self {
        let transcript = Arc::new(RunTranscript::new());
        let life = Life { stage: Stage::Starting, parts: OpenParts::default(), end: None };
        Core { room, id, transcript, stopped: Arc::default(), life: Mutex::new(life), begun: Condvar::new() }
    }

    pub(super) fn agent(&self) -> &AgentHandle {
        &self.room.agent
    }

    /// Records the result of the report of the run's start.
    pub(super) fn has_begun(&self, outcome: &Result<()>) {
        let stage = {
            let mut life = self.life.lock();
            if life.stage == Stage::Starting {
                // If the start was not sent, the server does not know the run.
                let unknown = outcome.as_ref().is_err_and(|error| !error.may_have_been_sent());
                life.stage = if unknown { Stage::Ended } else { Stage::Open };
            }
            life.stage
        };
        self.begun.notify_all();
        if stage == Stage::GivenUp && outcome.is_ok() {
            // The agent has ended meanwhile and could not report the run's end.
            self.report_end(&RunEnd::Error(CLOSED.to_owned()));
        }
    }

    /// # Errors
    /// `Invalid` if the run has ended, `Closed` if the run ended with the agent.
    pub(super) fn check_open(&self) -> Result<()> {
        self.life.lock().check_open()
    }

    /// Adds a stream or a tool call, which ends before the run does. Call [`part_ended`](Core::part_ended) afterwards.
    ///
    /// # Errors
    /// `Invalid` if the run has ended, `Closed` if the run ended with the agent.
    pub(super) fn begin_part(&self, part: OpenPart) -> Result<PartNumber> {
        let mut life = self.life.lock();
        life.check_open()?;
        Ok(life.parts.add(part))
    }

    /// Changes a part, if the agent has not ended it.
    pub(super) fn change_part(&self, number: PartNumber, change: impl FnOnce(&mut OpenPart)) {
        self.life.lock().parts.get_mut(number).map(change);
    }

    pub(super) fn part_ended(&self, number: PartNumber) {
        let end = {
            let mut life = self.life.lock();
            if life.parts.remove(number) { life.end.take() } else { None }
        };
        if let Some(end) = end {
            self.report_end(&end);
            self.agent().runs.remove(self);
        }
    }

    /// Ends a part that is open when the agent ends, so that people keep the text of a stream.
    fn give_up_part(&self, part: OpenPart) {
        let ended = match part {
            OpenPart::Stream { id, text } => self.end_stream(&id, &text, Outgoing::new(""), |whole| {
                self.agent().session.deliver(STREAM, &self.payload(whole)).map(drop)
            }),
            OpenPart::Tool { id, tool, started } => {
                self.end_tool(&id, &tool, started, (CLOSED.into(), FAILED), |result| {
                    self.agent().session.deliver(TOOL_RESULT, &self.payload(result)).map(drop)
                })
            }
        };
        if let Err(error) = ended {
            crate::logging::info!("cannot send the end of a stream or tool of run {}: {error}", self.id);
        }
    }

    /// Ends a stream with its whole text, and with the metadata of `message`.
    pub(super) fn end_stream(
        &self,
        id: &MessageId,
        text: &str,
        message: Outgoing,
        send: impl Fn(&StreamUpdate<'_>) -> Result<()>,
    ) -> Result<()> {
        let message = message.answering(self.room.answered());
        let metadata = Some(message.extras()).filter(|metadata| !metadata.is_empty());
        // The length is in UTF-16 units, as in other clients.
        let content_length = text.encode_utf16().count();
        self.transcript.push(&RecordedStep::StreamEnd { message_id: id, content_length });
        let mut whole = StreamUpdate { message_id: id, delta: None, content: text, done: true, metadata };
        let sent = send(&whole);
        if sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::Invalid) {
            // The text is too large for the server. A message with only the beginning is better than a message that
            // never ends.
            let beginning = clip(text);
            whole.content = &beginning;
            // The metadata may be too large.
            let least = message.extras().only(&ON_EVERY_PART);
            whole.metadata = Some(&least).filter(|metadata| !metadata.is_empty());
            send(&whole)?;
        }
        sent
    }

    /// Ends a tool call with its output and status.
    pub(super) fn end_tool<R>(
        &self,
        id: &str,
        tool: &str,
        started: Instant,
        (output, status): (Value, &str),
        send: impl FnOnce(&ToolResult<'_>) -> R,
    ) -> R {
        let duration = &format!("{}ms", started.elapsed().as_millis());
        let (tool_call_id, output) = (id, &clip_value(output));
        self.transcript.push(&RecordedStep::ToolResult { tool_call_id, tool, output, duration, status });
        send(&ToolResult { tool_call_id, tool, output, duration, status })
    }

    /// Ends the run. Only the first end counts. Open streams and tools end before the run does.
    ///
    /// # Errors
    /// `Invalid` if the run has ended, `Closed` if the run ended with the agent, or the error of the send.
    pub(super) fn end(&self, end: RunEnd) -> Result<()> {
        let end = {
            let mut life = self.life.lock();
            life.check_open()?;
            life.stage = Stage::Ended;
            if life.parts.is_empty() {
                Some(end)
            } else {
                life.end = Some(end);
                None
            }
        };
        self.stopped.end(false);
        let Some(end) = end else { return Ok(()) };
        let sent = self.send_end(&end, |name, ended| self.report_reliably(name, ended));
        // Remove the run only after the send, so that the next run in this room starts after the end of this run.
        self.agent().runs.remove(self);
        sent
    }

    /// Called when the last handle was dropped. Ends the run as an error, without waiting.
    pub(super) fn release(&self, why: &str) {
        let was = {
            let mut life = self.life.lock();
            let was = life.stage;
            if was != Stage::GivenUp {
                life.stage = Stage::Ended;
            }
            was
        };
        if matches!(was, Stage::Starting | Stage::Open) {
            self.stopped.end(false);
            self.report_end(&RunEnd::Error(why.to_owned()));
        }
        self.agent().runs.remove(self);
    }

    fn report_end(&self, end: &RunEnd) {
        let send = |name: &'static str, ended: &RunEndPayload<'_>| {
            self.agent().session.deliver(name, &self.payload(ended)).map(drop)
        };
        if let Err(error) = self.send_end(end, send) {
            crate::logging::info!("cannot send the end of run {}: {error}", self.id);
        }
    }

    /// Sends the end, with as much of the transcript as the server accepts.
    fn send_end(
        &self,
        end: &RunEnd,
        send: impl Fn(&'static str, &RunEndPayload<'_>) -> Result<()>,
    ) -> Result<()> {
        let (name, summary, error) = match end {
            RunEnd::Complete(summary) => ("agent-run-complete", Some(clip(summary)), None),
            RunEnd::Error(error) => ("agent-run-error", None, Some(clip(error))),
        };
        match (&summary, &error) {
            (Some(summary), _) => self.transcript.push(&RecordedStep::Complete { summary }),
            (_, Some(message)) => self.transcript.push(&RecordedStep::Error { message }),
            (None, None) => {}
        }
        loop {
            let ended = RunEndPayload {
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

    fn payload<T: Serialize>(&self, more: T) -> RunEventPayload<'_, T> {
        let me = &self.agent().me;
        RunEventPayload {
            run_id: &self.id,
            agency_id: &self.room.id,
            agent_id: &me.id,
            username: &me.username,
            display_name: &me.display_name,
            more,
        }
    }

    pub(super) fn report(&self, name: &str, more: impl Serialize) -> Result<()> {
        let until = deadline::after(self.agent().options.send_timeout);
        self.emit(name, more, until).map(drop)
    }

    /// Like [`report`](Core::report), but if the connection does not come back in time, the session sends the event
    /// later. Tool calls and ends need this, because the room would otherwise show an unfinished part forever.
    pub(super) fn report_reliably(&self, name: &str, more: &impl Serialize) -> Result<()> {
        match self.report(name, more) {
            Err(error) if is_connection_error(&error) => {
                if self.agent().session.deliver(name, &self.payload(more))? {
                    return Ok(());
                }
                let text = format!("the connection is down: the crate sends {name} after the reconnect");
                Err(Error::new(ErrorKind::NotSent, text).with_source(error))
            }
            other => other,
        }
    }

    /// Sends an event. Returns the generation of the connection that carried the event.
    ///
    /// If the connection breaks during the send, sends the event again. All events of a run have ids or the whole
    /// state, so a repeated event does no harm. The run repeats its start only before any other event.
    pub(super) fn emit(&self, name: &str, more: impl Serialize, until: Instant) -> Result<u64> {
        self.check_not_given_up()?;
        let payload = self.payload(more);
        loop {
            match self.agent().session.emit_on_any(name, &payload, until) {
                Err(error) if error.kind() == ErrorKind::MaybeSent && Instant::now() < until => {}
                other => return other,
            }
        }
    }

    /// Fails if the agent has ended the run, because no event may follow the end.
    pub(super) fn check_not_given_up(&self) -> Result<()> {
        if self.life.lock().stage == Stage::GivenUp { Err(Error::closed()) } else { Ok(()) }
    }

    /// Sends an event without waiting. Destructors call this.
    pub(super) fn try_deliver(&self, name: &str, more: impl Serialize) -> Result<()> {
        self.check_not_given_up()?;
        self.agent().session.deliver(name, &self.payload(more)).map(drop)
    }
}

pub(super) fn is_connection_error(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotSent | ErrorKind::MaybeSent)
}
