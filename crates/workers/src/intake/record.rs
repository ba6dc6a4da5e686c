//! Messages on their way to Redis.

use std::time::UNIX_EPOCH;

use crustocean::Message;
use crustocean::model::{AgencyId, MessageId};

use crate::error::{Error, Result};

/// How far before the watermark a new holder begins to read, in ms, because the clocks of the platform's servers may
/// differ by this time.
pub(super) const OVERLAP: i64 = 60_000;

/// The data of one message for the script that stores messages.
pub(super) struct Record {
    pub(super) room: AgencyId,
    pub(super) id: MessageId,
    pub(super) ms: i64,
    /// Empty if the message is not a question.
    pub(super) json: String,
}

impl Record {
    pub(super) fn new(message: &Message, is_question: bool) -> Result<Self> {
        let json = match is_question {
            true => serde_json::to_string(message)
                .map_err(|error| Error::invalid("a message cannot be written as JSON").with_source(error))?,
            false => String::new(),
        };
        Ok(Record { room: message.agency_id.clone(), id: message.id.clone(), ms: time_of(message), json })
    }

    pub(super) fn is_question(&self) -> bool {
        !self.json.is_empty()
    }
}

/// The time of a message, in ms since 1970; -1 if the message has no valid time.
pub(super) fn time_of(message: &Message) -> i64 {
    let time = message.created_at.to_system_time();
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(-1)
}
