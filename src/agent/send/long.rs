//! Messages that are too long to be one.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::send::split;
use crate::agent::{Agent, Outgoing};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};

/// What becomes of a text that is longer than the platform handles well:
/// [`AgentBuilder::long_messages`](crate::agent::AgentBuilder::long_messages).
///
/// The platform documents no limit; 8,000 characters is where its own public bots split. A character is a Unicode
/// scalar value (a `char`), as it is for them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LongMessages {
    /// It goes out as several messages, cut at the end of a paragraph, a line, a word, or at least of what a reader
    /// sees as one character. A block of code that is cut is closed and opened again. The first message carries the
    /// metadata; the loop guard and the mark of a log are on all.
    ///
    /// White space at a cut is left out; within code only a part that would show nothing but blank lines is. A later
    /// part that would begin with a slash begins with `… ` instead: the platform would run it as a command.
    ///
    /// A text of more than 50 messages is [`ErrorKind::Invalid`]: a room is not the place for a log file.
    ///
    /// Two long messages of an agent do not get mixed up, whichever threads send them; short ones of other threads may
    /// come between the parts.
    Split {
        /// The most characters in one message. Less than 200 counts as 200.
        limit: usize,
        /// The pause between two messages; [`Agent::try_send`] makes none. Bots that send many at once run into limits
        /// that are not documented, and messages of one millisecond have no order in a history.
        pause: Duration,
    },
    /// It is not sent: [`ErrorKind::Invalid`].
    Refuse {
        /// The most characters in one message.
        limit: usize,
    },
    /// It is sent as it is, whatever the server makes of it.
    Send,
}

/// A bot that echoes a file by mistake must not flood the room.
const MOST_PARTS: usize = 50;

impl LongMessages {
    /// Where the platform's own public bots split.
    pub const DEFAULT_LIMIT: usize = 8_000;

    /// The most characters in one message, if there is such a number.
    pub fn limit(&self) -> Option<usize> {
        match self {
            LongMessages::Split { limit, .. } => Some((*limit).max(split::LEAST)),
            LongMessages::Refuse { limit } => Some(*limit),
            LongMessages::Send => None,
        }
    }

    pub(crate) fn pause(&self) -> Duration {
        match self {
            LongMessages::Split { pause, .. } => *pause,
            LongMessages::Refuse { .. } | LongMessages::Send => Duration::ZERO,
        }
    }

    /// How many characters the text has, if they are too many.
    fn excess(&self, text: &str) -> Option<(usize, usize)> {
        let limit = self.limit().filter(|limit| text.len() > *limit)?;
        let count = text.chars().count();
        (count > limit).then_some((count, limit))
    }

    /// The messages to send instead of this one, if it is too long.
    ///
    /// # Errors
    /// `Invalid` if such a message is not to be sent.
    pub(crate) fn apply(&self, message: &Outgoing) -> Result<Option<Vec<Outgoing>>> {
        match (self, self.excess(message.text())) {
            // Half a command is another one.
            (LongMessages::Split { .. }, _) if split::is_command(message.text()) => Ok(None),
            (LongMessages::Split { .. }, Some((count, limit))) if count / limit >= MOST_PARTS => {
                Err(Error::invalid(format!(
                    "the message has {count} characters: that would be more than {MOST_PARTS} messages in a row"
                )))
            }
            (LongMessages::Split { .. }, Some((_, limit))) => message.split(limit).map(Some),
            (_, Some((count, limit))) => Err(too_long("the message", count, limit)),
            (_, None) => Ok(None),
        }
    }

    /// An edit replaces the text of one message, so it cannot be split.
    ///
    /// # Errors
    /// `Invalid` if the text is too long for one message.
    pub(crate) fn check_edit(&self, text: &str) -> Result<()> {
        match self.excess(text) {
            Some((count, limit)) => {
                Err(too_long("the new text (one message, which cannot be split)", count, limit))
            }
            None => Ok(()),
        }
    }
}

impl Default for LongMessages {
    /// Split at 8,000 characters, with a pause of 350 ms.
    fn default() -> Self {
        LongMessages::Split { limit: Self::DEFAULT_LIMIT, pause: Duration::from_millis(350) }
    }
}

fn too_long(what: &str, count: usize, limit: usize) -> Error {
    Error::invalid(format!("{what} has {count} characters, and {limit} are the most: see `long_messages`"))
}

impl Agent {
    /// Sends the parts of a long message one by one with `say`.
    ///
    /// # Errors
    /// The first, as `MaybeSent` if it is not the first part's: then the message is there in part.
    pub(crate) fn say_in_parts(
        &self,
        parts: Vec<Outgoing>,
        say: &mut dyn FnMut(Outgoing) -> Result<()>,
    ) -> Result<()> {
        let _turn = self.long_turn()?;
        let pause = self.options().long_messages.pause();
        self.say_parts(parts, pause, say)
    }

    /// Waits until no other long message of this agent is on its way.
    ///
    /// # Errors
    /// `NotSent` if that takes too long.
    pub(crate) fn long_turn(&self) -> Result<LongTurn<'_>> {
        let until = deadline::after(self.options().send_timeout);
        self.inner.long_turn.take(until).ok_or_else(|| {
            Error::new(ErrorKind::NotSent, "another long message is still on its way: this one was not sent")
        })
    }

    /// As [`say_in_parts`](Agent::say_in_parts), without waiting for one's turn.
    pub(crate) fn say_parts(
        &self,
        parts: Vec<Outgoing>,
        pause: Duration,
        say: &mut dyn FnMut(Outgoing) -> Result<()>,
    ) -> Result<()> {
        let count = parts.len();
        for (said, part) in parts.into_iter().enumerate() {
            if said > 0 && !pause.is_zero() {
                self.session().pause(pause);
            }
            match say(part) {
                Ok(()) => {}
                Err(error) if said == 0 => return Err(error),
                Err(error) => {
                    let text = format!("{said} of {count} parts of the message were sent, then: {error}");
                    return Err(error.sent_in_part(text));
                }
            }
        }
        Ok(())
    }
}

/// One long message at a time.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    taken: Mutex<bool>,
    free: Condvar,
}

impl Turn {
    fn take(&self, until: Instant) -> Option<LongTurn<'_>> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = until.saturating_duration_since(Instant::now());
        let (mut taken, _) =
            self.free.wait_timeout_while(taken, wait, |taken| *taken).unwrap_or_else(PoisonError::into_inner);
        let free = !*taken;
        *taken = true;
        free.then_some(LongTurn(self))
    }
}

/// Until it is dropped no other long message is sent.
pub(crate) struct LongTurn<'a>(&'a Turn);

impl Drop for LongTurn<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.free.notify_one();
    }
}
