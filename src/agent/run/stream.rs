//! A message that the room sees being written.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::agent::Outgoing;
use crate::agent::run::transcript::{Step, clip};
use crate::agent::run::{Run, is_of_the_link, new_uuid};
use crate::agent::send::metadata::JsonObject;
use crate::agent::send::outgoing::ON_EVERY_PART;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::MessageId;

const STREAM: &str = "agent-run-stream";

/// Each event carries the whole text so far, so they must become rarer as it grows: one in this time at most,
const SHORTEST_PAUSE: Duration = Duration::from_millis(150);
/// and this many bytes of text in a second.
const BYTES_A_SECOND: u64 = 16 << 10;

/// A frame with all of it has to stay well below the usual million bytes.
const LONGEST: usize = 256 << 10;

#[derive(Serialize)]
struct Part<'a> {
    #[serde(rename = "messageId")]
    message_id: &'a MessageId,
    delta: &'a str,
    content: &'a str,
    done: bool,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(rename = "messageId")]
    message_id: &'a MessageId,
    content: &'a str,
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a JsonObject>,
}

impl Run {
    /// Begins a message that the room sees being written. Several may be written at once.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) when the agent was closed.
    #[doc(alias = "createStream")]
    pub fn stream(&self) -> Result<Stream> {
        self.core.agent().session().check_open()?;
        self.core.begin_part()?;
        let id = MessageId::from(new_uuid());
        self.note(&Step::StreamStart { message_id: &id });
        Ok(Stream {
            run: self.clone(),
            id,
            text: String::new(),
            shown: 0,
            half: Vec::new(),
            next: Instant::now(),
            over: false,
        })
    }
}

/// A message that is being written. From [`Run::stream`].
///
/// Push what comes, however small: the room is shown the text several times a second at most, and more rarely as it
/// grows, about 16 KiB a second. What is not shown yet follows with the next push, [`flush`](Stream::flush) or
/// [`finish`](Stream::finish); the last one always shows the exact text. Dropped without it, the message ends with
/// what is there.
///
/// `write!` and [`std::io::copy`] work on it, too. A character whose bytes come in two writes is put together; bytes
/// that are no UTF-8 become U+FFFD. A lost connection is no obstacle: what the room misses comes when it is back.
///
/// A stream takes 256 KiB. How the platform keeps messages of more than about 8,000 characters is not documented.
#[must_use = "dropped, the message ends with what is there"]
pub struct Stream {
    run: Run,
    id: MessageId,
    text: String,
    /// How much of the text the room has seen.
    shown: usize,
    /// The beginning of a character.
    half: Vec<u8>,
    /// When the room may be shown more.
    next: Instant,
    over: bool,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("id", &self.id)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

impl Stream {
    /// The id that the message is to have.
    pub fn id(&self) -> &MessageId {
        &self.id
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds to the text.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if it would get longer than 256 KiB: then nothing is added.
    /// [`Closed`](crate::ErrorKind::Closed) when the agent was closed.
    pub fn push(&mut self, delta: impl AsRef<str>) -> Result<()> {
        self.take_half();
        self.add(delta.as_ref())?;
        self.show_if_due()
    }

    /// Shows what has not been shown yet, at once. Each time the whole text is sent: not for every word.
    ///
    /// # Errors
    /// As [`Room::send`](crate::Room::send).
    pub fn flush(&mut self) -> Result<()> {
        if self.shown < self.text.len() { self.show(true) } else { Ok(()) }
    }

    /// Ends the message with exactly this text.
    ///
    /// # Errors
    /// As [`Room::send`](crate::Room::send). If the connection is down, the message is ended nevertheless as soon as it
    /// is back. If the server takes less than all of it ([`Invalid`](crate::ErrorKind::Invalid)), it ends with the
    /// beginning.
    pub fn finish(self) -> Result<MessageId> {
        self.finish_with("")
    }

    /// Ends the message with metadata, and with another text if that is not empty:
    /// `stream.finish_with(Outgoing::new("").with("skill", "prices"))`.
    ///
    /// # Errors
    /// As [`finish`](Stream::finish).
    pub fn finish_with(mut self, message: impl Into<Outgoing>) -> Result<MessageId> {
        let message = message.into();
        self.take_half();
        if !message.text().is_empty() {
            self.text = message.text().to_owned();
        }
        self.end(message, |run, whole| run.core.report_for_sure(STREAM, whole))?;
        Ok(self.id.clone())
    }

    fn end(&mut self, message: Outgoing, send: impl Fn(&Run, &Whole<'_>) -> Result<()>) -> Result<()> {
        self.over = true;
        let sent = self.send_whole(message, send);
        self.run.core.part_ended();
        sent
    }

    fn send_whole(&self, message: Outgoing, send: impl Fn(&Run, &Whole<'_>) -> Result<()>) -> Result<()> {
        let message = message.answering(self.run.room().answered());
        let metadata = Some(message.extras()).filter(|metadata| !metadata.is_empty());
        // As JavaScript counts, like everybody else in the room.
        let content_length = self.text.encode_utf16().count();
        self.run.note(&Step::StreamEnd { message_id: &self.id, content_length });
        let mut whole = Whole { message_id: &self.id, content: &self.text, done: true, metadata };
        let sent = send(&self.run, &whole);
        if sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::Invalid) {
            // More than the server takes. Better the beginning of it than a message that never ends.
            let beginning = clip(&self.text);
            whole.content = &beginning;
            // What is too large may be the metadata.
            let least = message.extras().only(&ON_EVERY_PART);
            whole.metadata = Some(&least).filter(|metadata| !metadata.is_empty());
            send(&self.run, &whole)?;
        }
        sent
    }

    fn add(&mut self, delta: &str) -> Result<()> {
        if self.text.len() + delta.len() > LONGEST {
            return Err(Error::invalid(format!("a stream takes {LONGEST} bytes: begin another one")));
        }
        self.text.push_str(delta);
        Ok(())
    }

    fn show_if_due(&mut self) -> Result<()> {
        if self.shown == self.text.len() || Instant::now() < self.next {
            return Ok(());
        }
        match self.show(false) {
            // The next one has all of it.
            Err(error) if is_of_the_link(&error) => {
                self.next = deadline::after(SHORTEST_PAUSE);
                Ok(())
            }
            other => other,
        }
    }

    fn show(&mut self, patiently: bool) -> Result<()> {
        let delta = self.text.get(self.shown..).unwrap_or_default();
        let part = Part { message_id: &self.id, delta, content: &self.text, done: false };
        if patiently {
            self.run.core.report(STREAM, part)?;
        } else {
            self.run.core.emit(STREAM, part, Instant::now())?;
        }
        self.shown = self.text.len();
        self.next = deadline::after(pause_after(self.text.len()));
        Ok(())
    }

    /// Bytes, of which the last character may not be complete.
    fn add_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.half.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.half);
        let (text, half) = decode(&bytes);
        // Nothing is taken of what is too much.
        self.add(&text)?;
        self.half = half.to_vec();
        self.show_if_due()
    }

    /// What was to become a character does not.
    fn take_half(&mut self) {
        if !std::mem::take(&mut self.half).is_empty() {
            let _ = self.add("\u{fffd}");
        }
    }
}

/// How long to wait after so much was sent.
fn pause_after(bytes: usize) -> Duration {
    SHORTEST_PAUSE.max(Duration::from_millis(bytes as u64 * 1000 / BYTES_A_SECOND))
}

/// The text in the bytes, and the beginning of a character at their end.
fn decode(bytes: &[u8]) -> (String, &[u8]) {
    let mut text = String::new();
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        let invalid = chunk.invalid();
        if invalid.is_empty() {
            continue;
        }
        // Could it still become a character?
        let begun = std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if chunks.peek().is_none() && begun {
            return (text, invalid);
        }
        text.push('\u{fffd}');
    }
    (text, &[])
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.over {
            self.take_half();
            if let Err(error) = self.end(Outgoing::new(""), |run, whole| run.core.try_deliver(STREAM, whole))
            {
                crate::logging::info!("the end of stream {} is not sent: {error}", self.id);
            }
        }
    }
}

impl fmt::Write for Stream {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text).map_err(|_| fmt::Error)
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add_bytes(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Stream::flush(self).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_survive_any_cut() {
        let text = "a é € 🦀 ok";
        for at in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(at);
            let (mut all, half) = decode(first);
            let rest = [half, second].concat();
            let (more, half) = decode(&rest);
            all.push_str(&more);
            assert_eq!((all.as_str(), half), (text, &[][..]), "cut at {at}");
        }
    }

    #[test]
    fn what_is_no_text_is_marked() {
        assert_eq!(decode(b"a\xffb"), ("a\u{fffd}b".to_owned(), &[][..]));
        assert_eq!(decode(b"\xf0\x9f"), (String::new(), &b"\xf0\x9f"[..]));
        assert_eq!(decode(b"\xf0\x9fx"), ("\u{fffd}x".to_owned(), &[][..]));
    }

    #[test]
    fn the_longer_the_rarer() {
        assert_eq!(pause_after(0), SHORTEST_PAUSE);
        assert_eq!(pause_after(32 << 10), Duration::from_secs(2));
    }
}
