//! What an agent says.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::model::{AgencyId, LoopGuard, MessageType};

/// The metadata key that [`Agent::post`](crate::Agent::post) knows its message by.
pub(crate) const POST_MARK: &str = "post_id";

/// A message to send: text, and if wanted a type and metadata. Plain text converts by itself, so
/// `agent.send("hello")` is enough.
///
/// ```
/// use crustocean::{MessageType, Outgoing};
///
/// let message = Outgoing::new("ETH is at 3000").kind(MessageType::ToolResult).with("skill", "prices");
/// # let _ = message;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a message says nothing until it is sent"]
pub struct Outgoing {
    content: String,
    kind: Option<MessageType>,
    metadata: Map<String, Value>,
}

impl Outgoing {
    /// A chat message. White space around the text is trimmed when it is sent, as the platform's own clients do.
    pub fn new(text: impl Into<String>) -> Self {
        Outgoing { content: text.into(), kind: None, metadata: Map::new() }
    }

    /// The type: `chat`, `tool_result` or `action`. Defaults to leaving it to the server, which makes it `chat`.
    pub fn kind(mut self, kind: MessageType) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Adds one key to the metadata. A later value for the same key replaces the earlier one.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds all keys of `metadata`.
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.metadata.extend(metadata);
        self
    }

    /// Carries a loop guard, unless one was set by hand.
    pub(crate) fn guarded(mut self, guard: &LoopGuard) -> Self {
        if !self.metadata.contains_key("loop_guard")
            && let Ok(value) = serde_json::to_value(guard)
        {
            self.metadata.insert("loop_guard".to_owned(), value);
        }
        self
    }

    /// Carries a mark by which it is known again in the room.
    pub(crate) fn marked(mut self, mark: &str) -> Self {
        self.metadata.insert(POST_MARK.to_owned(), mark.into());
        self
    }

    /// The text as it is sent.
    pub(crate) fn text(&self) -> &str {
        self.content.trim()
    }

    pub(crate) fn metadata_map(&self) -> &Map<String, Value> {
        &self.metadata
    }

    /// The payload of `send-message`.
    ///
    /// # Errors
    /// `Invalid` when there is no text.
    pub(crate) fn payload<'a>(&'a self, agency: &'a AgencyId) -> Result<SendMessage<'a>> {
        let content = self.text();
        if content.is_empty() {
            return Err(Error::invalid("the message has no text"));
        }
        Ok(SendMessage {
            agency_id: agency,
            content,
            kind: self.kind.as_ref(),
            metadata: (!self.metadata.is_empty()).then_some(&self.metadata),
        })
    }
}

impl From<&str> for Outgoing {
    fn from(text: &str) -> Self {
        Outgoing::new(text)
    }
}

impl From<String> for Outgoing {
    fn from(text: String) -> Self {
        Outgoing::new(text)
    }
}

impl From<&String> for Outgoing {
    fn from(text: &String) -> Self {
        Outgoing::new(text.as_str())
    }
}

/// `send-message`, as the platform's JavaScript SDK sends it: what is not set is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SendMessage<'a> {
    agency_id: &'a AgencyId,
    content: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a MessageType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Map<String, Value>>,
}

/// `edit-message`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EditMessage<'a> {
    pub(crate) agency_id: &'a AgencyId,
    pub(crate) message_id: &'a crate::model::MessageId,
    pub(crate) content: &'a str,
}

/// `join-agency`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JoinAgency<'a> {
    pub(crate) agency_id: &'a AgencyId,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(message: impl Into<Outgoing>) -> String {
        let agency = AgencyId::from("ag-1");
        serde_json::to_string(&message.into().payload(&agency).unwrap()).unwrap()
    }

    #[test]
    fn leaves_out_what_is_not_set() {
        assert_eq!(sent(" Hello\n"), r#"{"agencyId":"ag-1","content":"Hello"}"#);
        let rich = Outgoing::new("Hello").kind(MessageType::ToolResult).with("skill", "greeter");
        assert_eq!(
            sent(rich),
            r#"{"agencyId":"ag-1","content":"Hello","type":"tool_result","metadata":{"skill":"greeter"}}"#
        );
    }

    #[test]
    fn wants_some_text() {
        assert!(Outgoing::new(" \n").payload(&AgencyId::from("ag-1")).is_err());
    }

    #[test]
    fn a_guard_set_by_hand_stays() {
        let own = Outgoing::new("x").with("loop_guard", 1).guarded(&LoopGuard::first());
        assert_eq!(own.metadata.get("loop_guard"), Some(&1.into()));
    }
}
