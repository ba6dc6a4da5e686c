//! Runs: work on something that the room can watch, interrupt and read up on.

mod inner;
mod interrupt;
mod open_runs;
mod permission;
mod stopped;
mod stream;
mod tool;
mod transcript;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

pub use interrupt::Interrupt;
pub(crate) use open_runs::OpenRuns;
pub use permission::Permission;
pub use stream::Stream;
pub use tool::{ToolCall, ToolOutcome};

use crate::agent::Room;
use crate::agent::send::outgoing::Answering;
use crate::error::Result;
use crate::model::{Message, MessageId, RunId, TranscriptEntry};
use inner::{Core, End, is_of_the_link};
use interrupt::Interrupts;
use transcript::{Step, clip};

/// What set a run off: a message, or nothing in particular.
///
/// Made from the message itself, not from its id: what a run says in the room carries on the loop guard of the message
/// that it answers.
#[derive(Debug, Clone, Default)]
pub struct Trigger {
    answering: Option<Answering>,
}

impl Trigger {
    /// Nothing that somebody said.
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

/// A run that is going on. From [`Room::start_run`].
///
/// What it reports is shown live and kept here, for the transcript that [`complete`](Run::complete) or
/// [`error`](Run::error) sends. Dropped without either (an early return, a `?`, a panic) it ends as an error, with its
/// transcript; it never hangs in the room. So it does when the agent is [closed](crate::Agent::close) before it.
///
/// A lost connection does not end it. Reports wait for the connection as any message does; the room may miss some that
/// were on their way when it broke, but not in the transcript. The server is not told again that the run has begun:
/// each report says which run it belongs to, and a second beginning could reset it.
///
/// Text and JSON longer than 32 KiB are cut, with a note. A transcript of more than 640 KiB leaves out its oldest
/// entries but for the first, and says how many in an entry `omitted`.
///
/// Whatever a run says in the room carries on the loop guard of the message that set it off, so that two agents that
/// answer each other by runs come to an end: its streams, its closing words, and all that is said through
/// [`run.room()`](Run::room).
///
/// It is a handle, cheap to clone, for one thread or several: all clones are the same run, and each [`Stream`] and
/// [`ToolCall`] has one. The run ends as an error when the *last* of them is dropped. `complete` and `error` end it for
/// all; whatever is called afterwards is an error that says so. Streams and tools that are open then still end as they
/// like, and the room hears of the run's end after them.
#[must_use = "dropped, the run ends as an error: keep it, and call complete() or error()"]
#[derive(Clone)]
pub struct Run {
    core: Arc<Core>,
    handle: Arc<RunHandle>,
}

/// What all handles of the user's share. The last one ends the run.
struct RunHandle {
    core: Arc<Core>,
    interrupts: Interrupts,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("id", self.id()).field("room", self.room().id()).finish_non_exhaustive()
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
    /// `until`: how long to wait for a run that is open in this room; `None` for not at all.
    pub(crate) fn start(room: &Room, trigger: Trigger, until: Option<Instant>) -> Result<Run> {
        let agent = room.agent();
        // A room handle that answers something stays one.
        let trigger_message_id = trigger.answering.as_ref().and_then(|answering| answering.to.clone());
        let room = room.answering(trigger.answering.or_else(|| room.answered().cloned()));
        let core = Arc::new(Core::new(room, RunId::from(new_uuid())));
        agent.session().check_open()?;
        agent.inner.runs.add(&core, until)?;
        let interrupts = Interrupts::watch(agent.session(), &core);
        let handle = Arc::new(RunHandle { core: Arc::clone(&core), interrupts });
        let run = Run { core, handle };
        let trigger_message_id = trigger_message_id.as_ref();
        run.note(&Step::Start { trigger_message_id });
        let told = run.core.report("agent-run-start", Start { trigger_message_id });
        run.core.has_begun(&told);
        told.map(|()| run)
    }

    fn note(&self, step: &Step<'_>) {
        self.core.transcript.push(step);
    }

    /// The run's id.
    pub fn id(&self) -> &RunId {
        &self.core.id
    }

    /// The room it is in. What is said through this handle is part of the answer to the message that set the run off,
    /// and carries its loop guard.
    pub fn room(&self) -> &Room {
        &self.core.room
    }

    /// Says what is being done right now, in a few words.
    ///
    /// # Errors
    /// As [`Room::send`]. The transcript has it in any case.
    #[doc(alias = "setStatus")]
    pub fn status(&self, status: impl AsRef<str>) -> Result<()> {
        self.core.check_open()?;
        let status = &*clip(status.as_ref());
        self.note(&Step::Status { status });
        self.core.report("agent-run-status", Status { status })
    }

    /// Adds an entry of one's own to the transcript: a JSON object that says in `type` what it is. `ts`, the
    /// milliseconds since the start of the run, is added.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for anything else, and for more than 64 KiB.
    pub fn record(&self, entry: &impl Serialize) -> Result<()> {
        self.core.check_open()?;
        self.core.transcript.record(entry)
    }

    /// What has happened so far.
    pub fn transcript(&self) -> Vec<TranscriptEntry> {
        self.core.transcript.typed()
    }

    /// Ends the run well: the room gets the summary, the platform the transcript. If streams or tools are open, the room
    /// hears of it when the last of them has ended.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when it has ended before; else as [`Room::send`]. If it is because the connection is down ([`NotSent`](crate::ErrorKind::NotSent)), the end of the run
    /// is sent nevertheless as soon as it is back.
    pub fn complete(&self, summary: impl AsRef<str>) -> Result<()> {
        self.core.end(End::Complete(summary.as_ref().to_owned()))
    }

    /// Ends the run as failed: the room gets the message, the platform the transcript.
    ///
    /// # Errors
    /// As [`complete`](Run::complete).
    pub fn error(&self, message: impl AsRef<str>) -> Result<()> {
        self.core.end(End::Error(message.as_ref().to_owned()))
    }
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        if self.core.agent().session().is_foreign() {
            return;
        }
        let why = if std::thread::panicking() {
            "the agent panicked"
        } else {
            "the agent gave up without saying why"
        };
        self.core.let_go(why);
    }
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
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| new_uuid()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert!(id.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f')), "{id}");
            assert!(id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
        }
    }
}
