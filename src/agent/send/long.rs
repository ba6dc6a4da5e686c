//! Messages that are too long for one message.

use std::time::Duration;

use crate::agent::Outgoing;
use crate::agent::send::split;
use crate::error::{Error, Result};

/// How the agent sends a text over the size limit. Pass it to
/// [`AgentBuilder::long_messages`](crate::agent::AgentBuilder::long_messages).
///
/// The platform documents no limit. Its own public bots split at 8,000 characters. A character is a Unicode scalar
/// value (a `char`), as in these bots.
///
/// ```no_run
/// use crustocean::agent::LongMessages;
///
/// let builder = crustocean::Agent::builder().long_messages(LongMessages::refuse(2_000));
/// # let _ = builder;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LongMessages {
    /// Sends several messages, split at the end of a paragraph, a line or a word, or at least between two visible
    /// characters. A split inside a code block closes the block and opens it again in the next message. The first
    /// message has all metadata; the loop guard and the `agent_log` flag are on all messages.
    ///
    /// The split removes white space around it; inside code, it removes only a part that has nothing but blank lines. A
    /// later part that would start with a slash starts with `… ` instead, because the platform would run it as a
    /// command.
    ///
    /// A text of more than 50 messages is [`ErrorKind::Invalid`](crate::ErrorKind::Invalid).
    ///
    /// The parts of two long messages of one agent never mix, even if different threads send them. Short messages of
    /// other threads may appear between the parts.
    #[non_exhaustive]
    Split {
        /// The most characters in one message. A value under 200 counts as 200.
        limit: usize,
        /// The pause between two messages. [`Agent::try_send`](crate::Agent::try_send) makes no pause. Many messages at
        /// once may exceed undocumented limits, and messages of the same millisecond have no order in a history.
        pause: Duration,
    },
    /// Refuses the text with [`ErrorKind::Invalid`](crate::ErrorKind::Invalid).
    #[non_exhaustive]
    Refuse {
        /// The most characters in one message.
        limit: usize,
    },
    /// Sends the text unchanged. The server may refuse or shorten the text.
    Send,
}

/// The most messages for one text. The limit stops a bot that echoes a file by mistake from flooding the room.
const MAX_PARTS: usize = 50;
const DEFAULT_PAUSE: Duration = Duration::from_millis(350);

impl LongMessages {
    /// The length at which the platform's own public bots split.
    pub const DEFAULT_LIMIT: usize = 8_000;

    /// Splits a text over `limit` characters into several messages: [`LongMessages::Split`]. The pause between two
    /// messages defaults to 350 ms; [`pause`](LongMessages::pause) changes it.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use crustocean::agent::LongMessages;
    ///
    /// let policy = LongMessages::split(2_000).pause(Duration::from_secs(1));
    /// let builder = crustocean::Agent::builder().long_messages(policy);
    /// # let _ = builder;
    /// ```
    pub fn split(limit: usize) -> Self {
        LongMessages::Split { limit, pause: DEFAULT_PAUSE }
    }

    /// Refuses a text over `limit` characters: [`LongMessages::Refuse`].
    ///
    /// ```no_run
    /// use crustocean::agent::LongMessages;
    ///
    /// let builder = crustocean::Agent::builder().long_messages(LongMessages::refuse(2_000));
    /// # let _ = builder;
    /// ```
    pub fn refuse(limit: usize) -> Self {
        LongMessages::Refuse { limit }
    }

    /// Sets the pause between two messages of a text. Has no effect unless the policy [splits](LongMessages::split).
    /// Defaults to 350 ms.
    pub fn pause(mut self, time: Duration) -> Self {
        if let LongMessages::Split { pause, .. } = &mut self {
            *pause = time;
        }
        self
    }

    /// The most characters in one message, if there is a limit.
    pub fn limit(&self) -> Option<usize> {
        match self {
            LongMessages::Split { limit, .. } => Some((*limit).max(split::MIN_LIMIT)),
            LongMessages::Refuse { limit } => Some(*limit),
            LongMessages::Send => None,
        }
    }

    /// The pause between two parts of a text.
    pub(crate) fn pause_between(&self) -> Duration {
        match self {
            LongMessages::Split { pause, .. } => *pause,
            LongMessages::Refuse { .. } | LongMessages::Send => Duration::ZERO,
        }
    }

    /// The length of the text and the limit, if the text is too long.
    fn excess(&self, text: &str) -> Option<(usize, usize)> {
        let limit = self.limit().filter(|limit| text.len() > *limit)?;
        let count = text.chars().count();
        (count > limit).then_some((count, limit))
    }

    /// The messages to send instead of this message, if this message is too long.
    ///
    /// # Errors
    /// `Invalid` if the policy refuses the text, if the text would need more than 50 messages, or if the joined spans
    /// are not the text.
    pub(crate) fn apply(&self, message: &Outgoing) -> Result<Option<Vec<Outgoing>>> {
        match (self, self.excess(message.text())) {
            (LongMessages::Split { .. }, Some((count, limit))) if count / limit >= MAX_PARTS => {
                Err(Error::invalid(format!(
                    "the message has {count} characters: that would be more than {MAX_PARTS} messages in a row"
                )))
            }
            (LongMessages::Split { .. }, Some((_, limit))) => message.split(limit).map(Some),
            (_, Some((count, limit))) => Err(too_long("the message", count, limit)),
            (_, None) => Ok(None),
        }
    }

    /// Checks the text of an edit. An edit replaces the text of one message, so it cannot be split.
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
    /// Splits at 8,000 characters, with a pause of 350 ms.
    fn default() -> Self {
        LongMessages::split(Self::DEFAULT_LIMIT)
    }
}

fn too_long(what: &str, count: usize, limit: usize) -> Error {
    Error::invalid(format!("{what} has {count} characters, and the limit is {limit}: see `long_messages`"))
}
