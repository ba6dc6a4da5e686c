//! The answers of handlers.

use crustocean::model::{MessageType, TraceReport};
use crustocean::{Message, Outgoing};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The metadata key of an answer that holds the question's id.
pub(crate) const IN_REPLY_TO: &str = "in_reply_to";

/// A handler's answer to a question: a text with metadata, or nothing.
///
/// The crate posts it to the question's room, with the question's id in `metadata.in_reply_to` and with the question's loop
/// guard, one hop further.
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
    /// An answer with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Answer { text: Some(text.into()), ..Answer::default() }
    }

    /// No answer: marks the question as done and posts nothing. Use it if the handler has no answer or has posted the
    /// answer itself, for example at the end of a run's stream.
    pub fn nothing() -> Self {
        Answer::default()
    }

    /// Sets the message type: `chat`, `tool_result` or `action`. Defaults to the server's default, which is `chat`.
    pub fn kind(mut self, kind: &MessageType) -> Self {
        self.kind = Some(kind.as_str().to_owned());
        self
    }

    /// Adds one key to the metadata.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds the steps that led to the answer, and how long they took.
    pub fn trace(self, report: impl Into<TraceReport>) -> Self {
        let TraceReport { steps, duration, .. } = report.into();
        let answer = self.with("trace", serde_json::to_value(steps).unwrap_or_default());
        match duration {
            Some(duration) => answer.with("duration", format!("{}ms", duration.as_millis())),
            None => answer,
        }
    }

    /// The message to post; `None` if there is nothing to post.
    pub(crate) fn outgoing(&self, question: &Message) -> Option<Outgoing> {
        let mut outgoing = Outgoing::new(self.text.clone()?).metadata(self.metadata.clone());
        if let Some(kind) = &self.kind {
            outgoing = outgoing.kind(kind.as_str().into());
        }
        Some(outgoing.in_reply_to(question).with(IN_REPLY_TO, question.id.as_str()))
    }
}

/// An entry of the stream of answers, which a worker without a connection hands to the holder.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HandedOver {
    pub(crate) question: Message,
    pub(crate) answer: Answer,
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Answer::new(text)
    }
}

impl From<&String> for Answer {
    fn from(text: &String) -> Self {
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
