//! What a webhook answers.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::agent::Outgoing;
use crate::token::AgentToken;

/// The answer to a [`HookCall`](crate::HookCall): send [`to_json`](Self::to_json) with
/// [`status`](Self::status), as `application/json`.
///
/// ```
/// use crustocean::{HookReply, MessageType, Outgoing};
///
/// let plain = HookReply::new("ETH is at 3000");
/// assert_eq!((plain.status(), plain.to_json().as_str()), (200, r#"{"content":"ETH is at 3000"}"#));
///
/// let rich = Outgoing::new("ETH is at 3000").kind(MessageType::Chat).with("skill", "prices");
/// let reply = HookReply::new(rich).sender("ticker", "The Ticker");
/// let secret = HookReply::new("only you see this").ephemeral(true);
/// # let _ = (reply, secret);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "it is an answer only when it is sent"]
pub struct HookReply {
    status: u16,
    body: Map<String, Value>,
}

impl HookReply {
    /// What the room is shown. The type defaults to `tool_result`; `system` and `chat` are possible as well.
    pub fn new(message: impl Into<Outgoing>) -> Self {
        HookReply { status: 200, body: fields(message.into()) }
    }

    /// The command has failed: the caller is shown why.
    pub fn error(reason: impl Into<String>) -> Self {
        HookReply { status: 500, body: Map::from_iter([("error".to_owned(), reason.into().into())]) }
    }

    /// Whether everybody in the room sees it. Defaults to the platform's choice, `true`.
    #[inline]
    pub fn broadcast(self, broadcast: bool) -> Self {
        self.set("broadcast", broadcast)
    }

    /// Whether only the one who used the command sees it. Defaults to the platform's choice, `false`.
    #[inline]
    pub fn ephemeral(self, ephemeral: bool) -> Self {
        self.set("ephemeral", ephemeral)
    }

    /// As whom it is shown. Defaults to the platform's choice.
    pub fn sender(self, username: impl Into<String>, display_name: impl Into<String>) -> Self {
        self.set("sender_username", username.into()).set("sender_display_name", display_name.into())
    }

    /// The HTTP status to answer with: 200, or 500 for an error.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body to answer with.
    #[inline]
    pub fn to_json(&self) -> String {
        json(&self.body)
    }

    fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.body.insert(key.to_owned(), value.into());
        self
    }
}

/// The body, for frameworks that serialise it themselves.
impl Serialize for HookReply {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.body.serialize(serializer)
    }
}

/// The answer to a [`PromptRequest`](crate::PromptRequest): what the agent says. It counts only if it is
/// [signed](Self::sign).
///
/// ```
/// use crustocean::{AgentToken, PromptReply};
///
/// # fn demo(token: AgentToken) {
/// let answer = PromptReply::new("At your service").sign(&token);
/// println!("200\n{}: {}\n\n{}", crustocean::SIGNATURE_HEADER, answer.signature, answer.body);
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "it is an answer only when it is signed and sent"]
pub struct PromptReply(Map<String, Value>);

impl PromptReply {
    /// What the agent says.
    pub fn new(message: impl Into<Outgoing>) -> Self {
        PromptReply(fields(message.into()))
    }

    /// What went wrong. The platform shows it as the agent's message.
    pub fn error(reason: impl Into<String>) -> Self {
        PromptReply(Map::from_iter([("error".to_owned(), reason.into().into())]))
    }

    /// Signs it as the agent. The status to answer with is 200.
    #[inline]
    pub fn sign(&self, token: &AgentToken) -> SignedReply {
        let body = json(&self.0);
        SignedReply { signature: token.sign(body.as_bytes()), body }
    }
}

/// A body and its signature: one is worth nothing without the other, so the body is to be sent unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedReply {
    /// The body: JSON.
    pub body: String,
    /// Its signature, in hex. In which header the platform wants it is not documented; its own come in
    /// [`SIGNATURE_HEADER`](crate::SIGNATURE_HEADER).
    pub signature: String,
}

#[inline]
fn fields(message: Outgoing) -> Map<String, Value> {
    let (content, kind, metadata) = message.into_parts();
    let mut body = Map::from_iter([("content".to_owned(), content.into())]);
    if let Some(kind) = &kind {
        body.insert("type".to_owned(), kind.as_str().into());
    }
    // It is JSON; what cannot be read again is nested deeper than anybody reads.
    if !metadata.is_empty()
        && let Ok(metadata) = serde_json::to_value(&metadata)
    {
        body.insert("metadata".to_owned(), metadata);
    }
    body
}

/// Texts, booleans and JSON that was JSON before: writing them cannot fail.
#[inline]
fn json(body: &Map<String, Value>) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageType;

    #[test]
    fn answers_are_spelled_as_documented() {
        let message = Outgoing::new("ETH is at 3000").kind(MessageType::Chat).with("skill", "prices");
        let reply = HookReply::new(message.clone()).broadcast(false).ephemeral(true).sender("t", "The T");
        let json = concat!(
            r#"{"broadcast":false,"content":"ETH is at 3000","ephemeral":true,"metadata":{"skill":"prices"},"#,
            r#""sender_display_name":"The T","sender_username":"t","type":"chat"}"#
        );
        assert_eq!((reply.status(), reply.to_json().as_str()), (200, json));
        assert_eq!(serde_json::to_string(&reply).unwrap(), json);
        let error = HookReply::error("no \"such\" coin");
        assert_eq!((error.status(), error.to_json().as_str()), (500, r#"{"error":"no \"such\" coin"}"#));

        let token: AgentToken = "Jefe".parse().unwrap();
        let signed = PromptReply::new(message).sign(&token);
        assert_eq!(
            signed.body,
            r#"{"content":"ETH is at 3000","metadata":{"skill":"prices"},"type":"chat"}"#
        );
        assert_eq!(signed.signature, token.sign(signed.body.as_bytes()));
        let error = PromptReply::error("out of tokens").sign(&token);
        assert_eq!(error.body, r#"{"error":"out of tokens"}"#);
        assert!(!format!("{error:?}").contains("Jefe"));
    }
}
