//! A message that the room sees while the agent writes it.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use crate::agent::Outgoing;
use crate::agent::random::new_uuid;
use crate::agent::run::part::{OpenPart, PartNumber, STREAM, StreamUpdate};
use crate::agent::run::transcript::RecordedStep;
use crate::agent::run::{Run, is_connection_error};
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::MessageId;

/// The shortest time between two events. Each event contains the whole text, so events become rarer as the text grows.
const MIN_PAUSE: Duration = Duration::from_millis(150);
/// The most bytes of text that the events carry per second.
const BYTES_A_SECOND: u64 = 16 << 10;

/// The most bytes of a stream's text. An event with the whole text must be smaller than the usual limit of a million
/// bytes.
const MAX_STREAM_BYTES: usize = 256 << 10;

impl Run {
    /// Starts a message that the room sees while the agent writes it. A run may have several such messages at once.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run, words: &[&str]) -> crustocean::Result<()> {
    /// let mut answer = run.stream()?;
    /// for word in words {
    ///     answer.push(word)?;
    /// }
    /// answer.finish()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the run has ended, [`Closed`](crate::ErrorKind::Closed) if the agent
    /// was closed.
    #[doc(alias = "createStream")]
    pub fn stream(&self) -> Result<Stream> {
        self.core.agent().session.check_open()?;
        let id = MessageId::from(new_uuid());
        let number = self.core.begin_part(OpenPart::Stream { id: id.clone(), text: String::new() })?;
        self.note(&RecordedStep::StreamStart { message_id: &id });
        Ok(Stream {
            run: self.clone(),
            number,
            id,
            text: String::new(),
            shown: 0,
            half: Vec::new(),
            next: Instant::now(),
            over: false,
        })
    }
}

/// A message that is being written. Returned by [`Run::stream`].
///
/// Push pieces of any size. The room sees the text several times a second at most, and more rarely as the text grows
/// (about 16 KiB per second). The crate sends text that the room has not seen yet with a later push, with
/// [`flush`](Stream::flush) or with [`finish`](Stream::finish), which always shows the exact text. If the stream is
/// dropped without `finish`, or if the agent ends, the message ends with the current text.
///
/// `write!` and [`std::io::copy`] work, too. A character may be split between two writes; bytes that are not UTF-8
/// become U+FFFD. After a lost connection the room gets the missing text.
///
/// A stream may have at most 256 KiB of text. The platform does not document how it stores messages over about 8,000
/// characters.
///
/// ```no_run
/// use std::io::Write;
///
/// # fn demo(run: &crustocean::run::Run) -> std::io::Result<()> {
/// let mut answer = run.stream().map_err(std::io::Error::other)?;
/// writeln!(answer, "2 + 2 = {}", 2 + 2)?;
/// answer.finish().map_err(std::io::Error::other)?;
/// # Ok(()) }
/// ```
#[must_use = "if you drop the stream, the message ends with the text so far: call finish()"]
pub struct Stream {
    run: Run,
    number: PartNumber,
    id: MessageId,
    text: String,
    /// The number of bytes of the text that the room has seen.
    shown: usize,
    /// The first bytes of an incomplete character.
    half: Vec<u8>,
    /// When the next event may be sent.
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
    /// The id of the message.
    ///
    /// ```no_run
    /// # fn demo(stream: &crustocean::run::Stream) {
    /// println!("writing message {}", stream.id());
    /// # }
    /// ```
    pub fn id(&self) -> &MessageId {
        &self.id
    }

    /// The text so far.
    ///
    /// ```no_run
    /// # fn demo(stream: &crustocean::run::Stream) {
    /// println!("{} bytes so far", stream.text().len());
    /// # }
    /// ```
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Appends to the text.
    ///
    /// ```no_run
    /// # fn demo(stream: &mut crustocean::run::Stream) -> crustocean::Result<()> {
    /// stream.push("Hello, ")?;
    /// stream.push("world")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the text would be longer than 256 KiB; the text then stays as it is.
    /// [`Closed`](crate::ErrorKind::Closed) if the agent was closed.
    pub fn push(&mut self, delta: impl AsRef<str>) -> Result<()> {
        self.take_half();
        self.add(delta.as_ref())?;
        self.show_if_due()
    }

    /// Shows the text that the room has not seen yet. Each call sends the whole text, so do not call this method for
    /// every word.
    ///
    /// ```no_run
    /// # fn demo(stream: &mut crustocean::run::Stream) -> crustocean::Result<()> {
    /// stream.push("Searching …")?;
    /// stream.flush()?; // the room sees it before the search starts
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Room::send`](crate::Room::send).
    pub fn flush(&mut self) -> Result<()> {
        if self.shown < self.text.len() { self.show(true) } else { Ok(()) }
    }

    /// Ends the message with the current text. Returns its id.
    ///
    /// ```no_run
    /// # fn demo(stream: crustocean::run::Stream) -> crustocean::Result<()> {
    /// let id = stream.finish()?;
    /// println!("posted {id}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Room::send`](crate::Room::send). If the connection is down, the crate sends the end after the
    /// reconnect. If the text is too large for the server ([`Invalid`](crate::ErrorKind::Invalid)), the final message
    /// has only the beginning of the text.
    pub fn finish(self) -> Result<MessageId> {
        self.finish_with("")
    }

    /// Ends the message with metadata. A text that is not empty replaces the current text.
    ///
    /// ```no_run
    /// use crustocean::Outgoing;
    ///
    /// # fn demo(stream: crustocean::run::Stream) -> crustocean::Result<()> {
    /// stream.finish_with(Outgoing::new("").skill("prices"))?; // keeps the text
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`finish`](Stream::finish).
    pub fn finish_with(mut self, message: impl Into<Outgoing>) -> Result<MessageId> {
        let message = message.into();
        self.take_half();
        if !message.text().is_empty() {
            self.text = message.text().to_owned();
        }
        self.end(message, |run, whole| run.core.report_reliably(STREAM, whole))?;
        Ok(self.id.clone())
    }

    fn end(&mut self, message: Outgoing, send: impl Fn(&Run, &StreamUpdate<'_>) -> Result<()>) -> Result<()> {
        self.over = true;
        let run = &self.run;
        let sent = run.core.end_stream(&self.id, &self.text, message, |whole| send(run, whole));
        run.core.part_ended(self.number);
        sent
    }

    fn add(&mut self, delta: &str) -> Result<()> {
        self.run.core.check_not_given_up()?;
        if self.text.len() + delta.len() > MAX_STREAM_BYTES {
            return Err(Error::invalid(format!(
                "a stream has at most {MAX_STREAM_BYTES} bytes: start another stream"
            )));
        }
        self.text.push_str(delta);
        // The agent needs the text if it ends before the stream.
        self.run.core.change_part(self.number, |part| {
            if let OpenPart::Stream { text, .. } = part {
                text.push_str(delta);
            }
        });
        Ok(())
    }

    fn show_if_due(&mut self) -> Result<()> {
        if self.shown == self.text.len() || Instant::now() < self.next {
            return Ok(());
        }
        match self.show(false) {
            // The next event contains the whole text.
            Err(error) if is_connection_error(&error) => {
                self.next = deadline::after(MIN_PAUSE);
                Ok(())
            }
            other => other,
        }
    }

    fn show(&mut self, with_retries: bool) -> Result<()> {
        let delta = Some(self.text.get(self.shown..).unwrap_or_default());
        let part =
            StreamUpdate { message_id: &self.id, delta, content: &self.text, done: false, metadata: None };
        if with_retries {
            self.run.core.report(STREAM, part)?;
        } else {
            self.run.core.emit(STREAM, part, Instant::now())?;
        }
        self.shown = self.text.len();
        self.next = deadline::after(pause_after(self.text.len()));
        Ok(())
    }

    /// Appends bytes. The last character may be incomplete.
    fn add_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.half.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.half);
        let (text, half) = decode(&bytes);
        // If the text is too long, `add` fails and appends nothing.
        self.add(&text)?;
        self.half = half.to_vec();
        self.show_if_due()
    }

    /// Replaces an incomplete character with U+FFFD.
    fn take_half(&mut self) {
        if !std::mem::take(&mut self.half).is_empty() {
            let _ = self.add("\u{fffd}");
        }
    }
}

/// The pause after an event with this many bytes.
fn pause_after(bytes: usize) -> Duration {
    MIN_PAUSE.max(Duration::from_millis(bytes as u64 * 1000 / BYTES_A_SECOND))
}

/// The text in the bytes, and the incomplete character at their end.
fn decode(bytes: &[u8]) -> (String, &[u8]) {
    let mut text = String::new();
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        let invalid = chunk.invalid();
        if invalid.is_empty() {
            continue;
        }
        // More bytes may complete this character.
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
                crate::logging::info!("cannot send the end of stream {}: {error}", self.id);
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
        assert_eq!(pause_after(0), MIN_PAUSE);
        assert_eq!(pause_after(32 << 10), Duration::from_secs(2));
    }
}
