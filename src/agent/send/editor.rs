//! One message whose text changes again and again.

use std::time::{Duration, Instant};

use crate::agent::send::outgoing::EditMessage;
use crate::agent::{Outgoing, Room};
use crate::deadline;
use crate::error::{ErrorKind, Result};
use crate::model::{Message, MessageEdited};

/// How often a text is changed, unless the caller says otherwise. More is a flicker, and a flood for the room.
const EVERY: Duration = Duration::from_secs(1);
/// What dropping an editor may take.
const DROP_TIMEOUT: Duration = Duration::from_millis(500);

/// A message that is edited many times: [`Room::editor`].
///
/// [`set`](Editor::set) may be called as often as there is something new. The message is changed once a second at
/// most, and only the newest text counts; [`finish`](Editor::finish) sets the last one and waits until the room shows
/// it. There is no thread behind it: a text that came too soon after another waits for the next `set`, for
/// [`flush`](Editor::flush), `finish`, or the end of the editor, which sends it in half a second at most.
///
/// ```no_run
/// # fn main() -> crustocean::Result<()> {
/// # let room = crustocean::Agent::from_env()?.join("lobby")?;
/// let mut line = room.editor("working…")?;
/// for percent in 0..100 {
///     // … a piece of work …
///     line.set(format!("{percent} %"))?;
/// }
/// line.finish("done")?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "dropped, it changes nothing any more: keep it, and call finish()"]
pub struct Editor {
    room: Room,
    message: Message,
    every: Duration,
    /// The text that was sent last.
    shown: String,
    /// The text that has to be sent still.
    pending: Option<String>,
    /// The connection that the last edit went out on: if that broke, it may not have arrived.
    sent_on: Option<u64>,
    changed: Instant,
}

impl Editor {
    /// [`Room::editor`].
    pub(crate) fn open(room: &Room, message: Outgoing) -> Result<Self> {
        let text = room.agent().checked_edit(message.text())?.to_owned();
        let message = room.post(message)?.first;
        Ok(Editor {
            room: room.clone(),
            message,
            every: EVERY,
            shown: text,
            pending: None,
            sent_on: None,
            changed: Instant::now(),
        })
    }

    /// How long to wait at least between two changes. Defaults to 1 s.
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval;
        self
    }

    /// The message as it was posted.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The message has a new text: now, or later if it was changed a moment ago. Never waits for a lost connection; the
    /// newest text goes out when it is back.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a text that a message cannot have, [`Closed`](crate::ErrorKind::Closed).
    pub fn set(&mut self, text: impl AsRef<str>) -> Result<()> {
        let text = self.room.agent().checked_edit(text.as_ref())?;
        self.pending = (text != self.shown).then(|| text.to_owned());
        if self.changed.elapsed() < self.every {
            return Ok(());
        }
        match self.send(Instant::now()) {
            Err(error) if matches!(error.kind(), ErrorKind::NotSent | ErrorKind::MaybeSent) => Ok(()),
            other => other,
        }
    }

    /// Sends the text that waits, if one does, whenever the last change was; and the last one again if the connection
    /// has broken since.
    ///
    /// # Errors
    /// As [`Room::edit`]. The text still waits then.
    pub fn flush(&mut self) -> Result<()> {
        self.send(deadline::after(self.room.agent().options().send_timeout))
    }

    /// Sets the last text and waits until the room shows it.
    ///
    /// # Errors
    /// As [`Room::post_edit`].
    pub fn finish(mut self, text: impl AsRef<str>) -> Result<MessageEdited> {
        (self.pending, self.sent_on) = (None, None);
        self.room.post_edit(&self.message.id, text)
    }

    /// Sends what waits, or the last text again if the connection that it went out on is gone.
    fn send(&mut self, until: Instant) -> Result<()> {
        if self.pending.is_none() && self.sent_on.is_none() {
            return Ok(());
        }
        let line = self.room.agent().session().connection(until)?;
        if self.pending.is_none() && self.sent_on == Some(line.generation) {
            return Ok(());
        }
        let content = self.pending.as_deref().unwrap_or(&self.shown);
        let payload = EditMessage { agency_id: self.room.id(), message_id: &self.message.id, content };
        self.changed = Instant::now();
        self.sent_on = Some(line.generation);
        line.emit("edit-message", &payload)?;
        if let Some(text) = self.pending.take() {
            self.shown = text;
        }
        Ok(())
    }
}

/// Sends the text that waits.
impl Drop for Editor {
    fn drop(&mut self) {
        if let Err(error) = self.send(deadline::after(DROP_TIMEOUT)) {
            crate::logging::info!("the last text of a message could not be set: {error}");
        }
    }
}
