//! Runs: work on something that the room can watch, interrupt and read up on.

mod interrupt;
mod permission;
mod stream;
mod tool;
mod transcript;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::value::RawValue;

pub use interrupt::Interrupt;
pub use permission::Permission;
pub use stream::Stream;
pub use tool::{ToolCall, ToolOutcome};

use crate::agent::{Agent, Room};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, Message, MessageId, RunId, TranscriptEntry, UserId};
use interrupt::Interrupts;
use transcript::{Step, Transcript, clip};

/// What set a run off: a message, or nothing in particular.
#[derive(Debug, Clone, Default)]
pub struct Trigger(Option<MessageId>);

impl Trigger {
    /// Nothing that somebody said.
    pub fn none() -> Self {
        Trigger::default()
    }
}

impl From<&Message> for Trigger {
    fn from(message: &Message) -> Self {
        Trigger(Some(message.id.clone()))
    }
}

impl From<&MessageId> for Trigger {
    fn from(id: &MessageId) -> Self {
        Trigger(Some(id.clone()))
    }
}

impl From<MessageId> for Trigger {
    fn from(id: MessageId) -> Self {
        Trigger(Some(id))
    }
}

impl From<Option<&Message>> for Trigger {
    fn from(message: Option<&Message>) -> Self {
        Trigger(message.map(|message| message.id.clone()))
    }
}

/// The rooms in which a run is open.
#[derive(Debug, Default)]
pub(crate) struct OpenRuns(Mutex<HashSet<AgencyId>>);

impl OpenRuns {
    fn lock(&self) -> MutexGuard<'_, HashSet<AgencyId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Begins a run: a piece of work that the members of this room can watch, interrupt and read up on later
    /// (`client.runs()`). `trigger` is the message it is about, or [`Trigger::none`].
    ///
    /// There is one run in a room at a time; several rooms may have one each.
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
    /// [`Invalid`](ErrorKind::Invalid) when this room has an open run; else as [`Room::send`].
    pub fn start_run(&self, trigger: impl Into<Trigger>) -> Result<Run> {
        Run::start(self, &trigger.into())
    }
}

/// A run that is going on. From [`Room::start_run`].
///
/// What it reports is shown live and kept here, for the transcript that [`complete`](Run::complete) or
/// [`error`](Run::error) sends. Dropped without either (an early return, a `?`, a panic) it ends as an error, with its
/// transcript; it never hangs in the room.
///
/// A lost connection does not end it. Reports wait for the connection as any message does; the room may miss some that
/// were on their way when it broke, but not in the transcript. The server is not told again that the run has begun:
/// each report says which run it belongs to, and a second beginning could reset it.
///
/// Text and JSON longer than 32 KiB are cut, with a note. A transcript of more than 640 KiB leaves out its oldest
/// entries but for the first, and says how many in an entry `omitted`.
///
/// Several threads may use it: it is `Send + Sync`.
pub struct Run {
    room: Room,
    id: RunId,
    transcript: std::sync::Arc<Transcript>,
    interrupts: Interrupts,
    over: bool,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("id", &self.id).field("room", self.room.id()).finish_non_exhaustive()
    }
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    trigger_message_id: Option<&'a MessageId>,
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'a str,
}

/// How a run ends, and with what words.
enum End<'a> {
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
}

impl Run {
    fn start(room: &Room, trigger: &Trigger) -> Result<Run> {
        let agent = room.agent();
        if !agent.inner.runs.lock().insert(room.id().clone()) {
            return Err(Error::invalid(
                "a run is open in this room: end it with complete() or error() before the next",
            ));
        }
        let id = RunId::from(new_uuid());
        let transcript = std::sync::Arc::new(Transcript::new());
        let interrupts = Interrupts::watch(agent.session(), &id, &transcript);
        let mut run = Run { room: room.clone(), id, transcript, interrupts, over: false };
        let trigger_message_id = trigger.0.as_ref();
        run.transcript.push(&Step::Start { trigger_message_id });
        match run.report("agent-run-start", Start { trigger_message_id }) {
            Ok(()) => Ok(run),
            Err(error) => {
                // Unless it may have arrived, nobody knows of it.
                run.over = error.kind() != ErrorKind::MaybeSent;
                Err(error)
            }
        }
    }

    fn agent(&self) -> &Agent {
        self.room.agent()
    }

    /// The run's id.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The room it is in.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Says what is being done right now, in a few words.
    ///
    /// # Errors
    /// As [`Room::send`]. The transcript has it in any case.
    pub fn status(&self, status: impl AsRef<str>) -> Result<()> {
        let status = &*clip(status.as_ref());
        self.transcript.push(&Step::Status { status });
        self.report("agent-run-status", Status { status })
    }

    /// Adds an entry of one's own to the transcript: a JSON object that says in `type` what it is. `ts`, the
    /// milliseconds since the start of the run, is added.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for anything else, and for more than 64 KiB.
    pub fn record(&self, entry: &impl Serialize) -> Result<()> {
        self.transcript.record(entry)
    }

    /// What has happened so far.
    pub fn transcript(&self) -> Vec<TranscriptEntry> {
        self.transcript.typed()
    }

    /// Ends the run well: the room gets the summary, the platform the transcript.
    ///
    /// # Errors
    /// As [`Room::send`]. If it is because the connection is down ([`NotSent`](ErrorKind::NotSent)), the end of the run
    /// is sent nevertheless as soon as it is back.
    pub fn complete(mut self, summary: impl AsRef<str>) -> Result<()> {
        self.end(&End::Complete(summary.as_ref()))
    }

    /// Ends the run as failed: the room gets the message, the platform the transcript.
    ///
    /// # Errors
    /// As [`complete`](Run::complete).
    pub fn error(mut self, message: impl AsRef<str>) -> Result<()> {
        self.end(&End::Error(message.as_ref()))
    }

    fn end(&mut self, end: &End<'_>) -> Result<()> {
        self.over = true;
        self.send_end(end, |name, ended| self.report_for_sure(name, ended))
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
            };
            match send(name, &ended) {
                Err(error) if error.kind() == ErrorKind::Invalid && self.transcript.halve() => {}
                other => return other,
            }
        }
    }

    fn payload<T>(&self, more: T) -> Payload<'_, T> {
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

    fn report(&self, name: &str, more: impl Serialize) -> Result<()> {
        let until = Instant::now() + self.agent().options().send_timeout;
        self.emit(name, more, until).map(drop)
    }

    /// As [`report`](Run::report), but if the connection is not back in time it is sent later nevertheless: for what
    /// ends something that the room would see going on for ever.
    fn report_for_sure(&self, name: &str, more: &impl Serialize) -> Result<()> {
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

    /// Returns the generation of the link it went out on.
    ///
    /// What broke off midway is sent again: all events of a run carry ids or the state as a whole, so twice is once.
    fn emit(&self, name: &str, more: impl Serialize, until: Instant) -> Result<u64> {
        let payload = self.payload(more);
        loop {
            match self.agent().session().emit_on_any(name, &payload, until) {
                Err(error) if error.kind() == ErrorKind::MaybeSent && Instant::now() < until => {}
                other => return other,
            }
        }
    }

    /// Without waiting for anything: for destructors.
    fn try_deliver(&self, name: &str, more: impl Serialize) -> Result<()> {
        self.agent().session().deliver(name, &self.payload(more)).map(drop)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.agent().session().is_foreign() {
            return;
        }
        if !self.over {
            let why = if std::thread::panicking() {
                "the agent panicked"
            } else {
                "the agent gave up without saying why"
            };
            if let Err(error) = self.send_end(&End::Error(why), |name, ended| self.try_deliver(name, ended)) {
                log::info!("the end of run {} is not sent: {error}", self.id);
            }
        }
        self.agent().inner.runs.lock().remove(self.room.id());
    }
}

fn is_of_the_link(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotSent | ErrorKind::MaybeSent)
}

/// A random UUID (version 4).
fn new_uuid() -> String {
    let random = || {
        getrandom::u64().unwrap_or_else(|_| {
            // Without randomness from the system the time has to do.
            std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64)
        })
    };
    let high = (random() & !0xf000) | 0x4000;
    let low = (random() & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_4() {
        let ids: HashSet<String> = (0..1000).map(|_| new_uuid()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert!(id.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f')), "{id}");
            assert!(id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
        }
    }
}
