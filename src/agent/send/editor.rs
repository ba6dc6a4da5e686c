//! A message whose text changes many times.

use std::time::{Duration, Instant};

use crate::agent::Outgoing;
use crate::agent::rooms::RoomHandle;
use crate::agent::send::outgoing::EditMessage;
use crate::agent::send::{edit, parts, unsent};
use crate::deadline;
use crate::error::{ErrorKind, Result};
use crate::model::{Message, MessageEdited};

/// The default interval between two changes. Faster changes would flicker and flood the room.
const EVERY: Duration = Duration::from_secs(1);
/// The time limit for dropping an editor.
const DROP_TIMEOUT: Duration = Duration::from_millis(500);

/// A message whose text changes many times. Returned by [`Room::editor`](crate::Room::editor).
///
/// Call [`set`](Editor::set) whenever there is a new text. The message changes at most once a second, and the editor
/// sends only the newest text. [`finish`](Editor::finish) sets the last text and waits until the room shows it. An
/// editor has no thread: a text that comes too soon waits for the next `set`, [`flush`](Editor::flush) or `finish`.
/// Dropping the editor sends a waiting text; this takes 0.5 s at most.
///
/// ```no_run
/// # fn main() -> crustocean::Result<()> {
/// # let room = crustocean::Agent::from_env()?.join("lobby")?;
/// let mut progress = room.editor("working…")?;
/// for percent in 0..100 {
///     // … a piece of work …
///     progress.set(format!("{percent} %"))?;
/// }
/// progress.finish("done")?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "if you drop the editor, it changes the message no more: keep it, and call finish()"]
pub struct Editor {
    room: RoomHandle,
    message: Message,
    every: Duration,
    /// The text that was sent last.
    shown: String,
    /// The text that is not sent yet.
    pending: Option<String>,
    /// The connection of the last edit. If this connection broke, the edit may not have arrived.
    sent_on: Option<u64>,
    changed: Instant,
}

impl Editor {
    /// Implements [`Room::editor`](crate::Room::editor).
    pub(crate) fn open(room: &RoomHandle, message: Outgoing) -> Result<Self> {
        let message = parts::as_text(&room.agent, &room.id, &message)?.into_owned();
        let text = edit::checked_edit(&room.agent, message.text())?.to_owned();
        let message = unsent::post_to(&room.agent, &room.id, room.outgoing(message))?.first;
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

    /// The shortest interval between two changes. Defaults to 1 s.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let mut progress = room.editor("0 %")?.every(Duration::from_secs(5));
    /// progress.set("50 %")?;
    /// # Ok(()) }
    /// ```
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval;
        self
    }

    /// The message as it was posted.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let progress = room.editor("0 %")?;
    /// println!("{}", progress.message().id);
    /// # Ok(()) }
    /// ```
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Sets a new text. The editor sends the text now, or with a later call if the last change was too recent. This
    /// method never waits for a lost connection: a later call sends the newest text after the reconnect.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let mut progress = room.editor("0 %")?;
    /// progress.set("50 %")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the text is empty or too long for one message;
    /// [`Closed`](crate::ErrorKind::Closed) if the agent was closed.
    pub fn set(&mut self, text: impl AsRef<str>) -> Result<()> {
        let text = edit::checked_edit(&self.room.agent, text.as_ref())?;
        self.pending = (text != self.shown).then(|| text.to_owned());
        if self.changed.elapsed() < self.every {
            return Ok(());
        }
        match self.send(Instant::now()) {
            Err(error) if matches!(error.kind(), ErrorKind::NotSent | ErrorKind::MaybeSent) => Ok(()),
            other => other,
        }
    }

    /// Sends the waiting text now. If the connection broke since the last edit, sends the last text again.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let mut progress = room.editor("0 %")?;
    /// progress.set("50 %")?;
    /// progress.flush()?; // the room gets it now
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Room::edit`](crate::Room::edit). After an error the text still waits.
    pub fn flush(&mut self) -> Result<()> {
        self.send(deadline::after(self.room.agent.options.send_timeout))
    }

    /// Sets the last text and waits until the room shows it.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let progress = room.editor("0 %")?;
    /// progress.finish("done")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Room::post_edit`](crate::Room::post_edit).
    pub fn finish(mut self, text: impl AsRef<str>) -> Result<MessageEdited> {
        (self.pending, self.sent_on) = (None, None);
        edit::post_edit_in(&self.room.agent, &self.room.id, &self.message.id, text.as_ref())
    }

    /// Sends the waiting text, or the last text again if its connection is gone.
    fn send(&mut self, until: Instant) -> Result<()> {
        if self.pending.is_none() && self.sent_on.is_none() {
            return Ok(());
        }
        let connection = self.room.agent.session.connection(until)?;
        if self.pending.is_none() && self.sent_on == Some(connection.generation) {
            return Ok(());
        }
        let content = self.pending.as_deref().unwrap_or(&self.shown);
        let payload = EditMessage { agency_id: &self.room.id, message_id: &self.message.id, content };
        self.changed = Instant::now();
        self.sent_on = Some(connection.generation);
        connection.emit("edit-message", &payload)?;
        if let Some(text) = self.pending.take() {
            self.shown = text;
        }
        Ok(())
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        if let Err(error) = self.send(deadline::after(DROP_TIMEOUT)) {
            crate::logging::info!("the last text of a message could not be set: {error}");
        }
    }
}
