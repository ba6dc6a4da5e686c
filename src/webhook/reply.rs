//! Answers to webhook requests.

use serde::Serialize;

use crate::agent::{JsonObject, Outgoing};
use crate::token::AgentToken;

/// The answer to a [`HookCall`](crate::webhook::HookCall). Send [`to_json`](Self::to_json) with the HTTP status
/// [`status`](Self::status), as `application/json`.
///
/// ```
/// use crustocean::{Outgoing, model::MessageType, webhook::HookReply};
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
    body: JsonObject,
}

impl HookReply {
    /// The message to show in the room. Its type defaults to `tool_result`; `system` and `chat` are possible, too.
    pub fn new(message: impl Into<Outgoing>) -> Self {
        HookReply { status: 200, body: fields(message.into()) }
    }

    /// The command failed. The user who ran the command sees the reason.
    pub fn error(reason: impl Into<String>) -> Self {
        HookReply { status: 500, body: failure(reason.into()) }
    }

    /// Shows the answer to everybody in the room. Defaults to the platform's default, `true`.
    pub fn broadcast(self, broadcast: bool) -> Self {
        self.set("broadcast", &broadcast)
    }

    /// Shows the answer only to the user who ran the command. Defaults to the platform's default, `false`.
    pub fn ephemeral(self, ephemeral: bool) -> Self {
        self.set("ephemeral", &ephemeral)
    }

    /// Sets the sender that the room shows. Defaults to the platform's choice.
    pub fn sender(self, username: impl Into<String>, display_name: impl Into<String>) -> Self {
        self.set("sender_username", &username.into()).set("sender_display_name", &display_name.into())
    }

    /// The HTTP status of the answer: 200, or 500 for an error.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body of the answer.
    pub fn to_json(&self) -> String {
        self.body.to_json()
    }

    fn set(mut self, key: &str, value: &impl Serialize) -> Self {
        self.body.set(key, value);
        self
    }
}

impl<T: Into<Outgoing>> From<T> for HookReply {
    fn from(message: T) -> Self {
        HookReply::new(message)
    }
}

/// Serialises as the body, for web frameworks.
impl Serialize for HookReply {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.body.serialize(serializer)
    }
}

/// The answer to a [`PromptRequest`](crate::webhook::PromptRequest): the agent's message. The platform accepts it
/// only if it is [signed](Self::sign).
///
/// ```
/// use crustocean::{AgentToken, webhook::PromptReply};
///
/// # fn demo(token: AgentToken) {
/// let answer = PromptReply::new("At your service").sign(&token);
/// println!("200\n{}: {}\n\n{}", crustocean::webhook::SIGNATURE_HEADER, answer.signature, answer.body);
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "it is an answer only when it is signed and sent"]
pub struct PromptReply(JsonObject);

impl PromptReply {
    /// The agent's message.
    pub fn new(message: impl Into<Outgoing>) -> Self {
        PromptReply(fields(message.into()))
    }

    /// An error. The platform shows the reason as the agent's message.
    pub fn error(reason: impl Into<String>) -> Self {
        PromptReply(failure(reason.into()))
    }

    /// Signs the answer with the agent's token. Send it with the HTTP status 200.
    pub fn sign(&self, token: &AgentToken) -> SignedReply {
        let body = self.0.to_json();
        SignedReply { signature: token.sign(body.as_bytes()), body }
    }
}

impl<T: Into<Outgoing>> From<T> for PromptReply {
    fn from(message: T) -> Self {
        PromptReply::new(message)
    }
}

/// A body and its signature. Send the body unchanged, because any change makes the signature invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedReply {
    /// The body: JSON.
    pub body: String,
    /// The signature in hex. The platform does not document the header. The platform's own signatures are in
    /// [`SIGNATURE_HEADER`](crate::webhook::SIGNATURE_HEADER).
    pub signature: String,
}

fn fields(message: Outgoing) -> JsonObject {
    let (content, kind, metadata) = message.into_parts();
    let mut body = JsonObject::default();
    body.set("content", &content);
    if let Some(kind) = &kind {
        body.set("type", kind);
    }
    if !metadata.is_empty() {
        body.set("metadata", &metadata);
    }
    body
}

fn failure(reason: String) -> JsonObject {
    let mut body = JsonObject::default();
    body.set("error", &reason);
    body
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

    #[test]
    fn nothing_is_too_deep_to_be_sent() {
        let deep = (0..200).fold(serde_json::json!(1), |inside, _| serde_json::json!([inside]));
        let json = HookReply::new(Outgoing::new("x").with("deep", deep)).to_json();
        assert_eq!(
            json,
            format!(r#"{{"content":"x","metadata":{{"deep":{}1{}}}}}"#, "[".repeat(200), "]".repeat(200))
        );
    }
}
