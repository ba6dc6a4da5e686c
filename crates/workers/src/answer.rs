//! What a handler answers with.

use crustocean::model::{MessageType, TraceReport};
use crustocean::{Message, Outgoing};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The key of an answer's metadata that names the question.
pub(crate) const IN_REPLY_TO: &str = "in_reply_to";

/// What a handler answers a question with: a text with metadata, or nothing.
///
/// It goes to the room that the question came from, with `metadata.in_reply_to` (the id of the question) and the loop
/// guard carried on.
///
/// ```
/// use crustocean_workers::Answer;
///
/// let answer = Answer::new("ETH is at 3000").with("skill", "prices");
/// # let _ = answer;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    metadata: Map<String, Value>,
}

impl Answer {
    /// A text.
    pub fn new(text: impl Into<String>) -> Self {
        Answer { text: Some(text.into()), ..Answer::default() }
    }

    /// No answer, or one that the handler has given by itself: at the end of a run's stream, say. The question is done
    /// with.
    pub fn nothing() -> Self {
        Answer::default()
    }

    /// The type: `chat`, `tool_result` or `action`. Defaults to leaving it to the server, which makes it `chat`.
    pub fn kind(mut self, kind: &MessageType) -> Self {
        self.kind = Some(kind.as_str().to_owned());
        self
    }

    /// Adds one key to the metadata.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Shows the steps that led to it, and how long they took.
    pub fn trace(self, report: impl Into<TraceReport>) -> Self {
        let TraceReport { steps, duration, .. } = report.into();
        let answer = self.with("trace", serde_json::to_value(steps).unwrap_or_default());
        match duration {
            Some(duration) => answer.with("duration", format!("{}ms", duration.as_millis())),
            None => answer,
        }
    }

    /// As it is sent; `None` if there is nothing to send.
    pub(crate) fn outgoing(&self, question: &Message) -> Option<Outgoing> {
        let mut outgoing = Outgoing::new(self.text.clone()?).metadata(self.metadata.clone());
        if let Some(kind) = &self.kind {
            outgoing = outgoing.kind(kind.as_str().into());
        }
        Some(outgoing.in_reply_to(question).with(IN_REPLY_TO, question.id.as_str()))
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Answer::new(text)
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Answer::new(text)
    }
}

/// `None` is [`Answer::nothing`].
impl<A: Into<Answer>> From<Option<A>> for Answer {
    fn from(answer: Option<A>) -> Self {
        answer.map(Into::into).unwrap_or_default()
    }
}
