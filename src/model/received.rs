//! Requests of the platform to webhooks.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::message::SenderType;
use super::webhook::WebhookEvent;
use super::{AgencyId, AgentConfig, AgentId, List, Message, Timestamp, UserId, answer, serde_helpers};
use crate::json;

/// A call of a custom command, sent to the command's webhook. Answer it with a
/// [`HookReply`](crate::webhook::HookReply) within 15 s.
///
/// Source: docs.crustocean.chat, page "Hooks".
///
/// ```
/// use crustocean::webhook::{HookCall, Receiver};
///
/// fn price(call: HookCall) -> String {
///     let currency = call.option("in").unwrap_or("USD"); // /price ETH --in EUR
///     format!("@{} asked for {} in {currency}", call.sender.username, call.positional.join(" "))
/// }
///
/// let receiver = Receiver::new().command("/hook", "price", price);
/// # let body = br#"{"agencyId":"a","command":"price","positional":["ETH"],"flags":{"in":"EUR"},"sender":{"username":"bob"}}"#;
/// # let headers: [(&str, &str); 0] = [];
/// # assert!(receiver.handle("POST", "/hook", headers, body).body.contains("@bob asked for ETH in EUR"));
/// ```
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct HookCall {
    /// The agency in which the command was used.
    #[serde(rename = "agencyId")]
    pub agency_id: AgencyId,
    /// The command's name: lowercase letters and digits, no slash.
    pub command: String,
    /// The text after the name, as the user typed it.
    #[serde(rename = "rawArgs", default)]
    pub raw_args: String,
    /// The words that are neither a flag nor a flag's value.
    #[serde(default)]
    pub positional: List<String>,
    /// The flags: `--key value` becomes a text, and a `--key` without a value becomes `true`. See
    /// [`option`](Self::option) and [`flag`](Self::flag).
    #[serde(default, deserialize_with = "serde_helpers::map")]
    pub flags: Map<String, Value>,
    /// The hook's creator, such as `@alice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// The slug, if the command was called as `/command@slug`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook_target: Option<String>,
    /// The user who called the command.
    pub sender: HookCaller,
}

lenient!(HookCall);

impl HookCall {
    /// The call as a [`Request`](super::Request). The parser of [`Mention::request`](crate::Mention::request) reads
    /// [`raw_args`](Self::raw_args), so quotes work, and the result does not depend on the platform's own parser.
    pub fn request(&self) -> super::Request {
        super::Request::parse(&format!("{} {}", self.command, self.raw_args))
    }

    /// The value of `--name value`.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.flags.get(name)?.as_str()
    }

    /// Whether the call has a `--name`, with or without a value.
    pub fn flag(&self, name: &str) -> bool {
        self.flags.get(name).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
    }
}

/// The user who called a custom command.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct HookCaller {
    /// The user's id.
    #[serde(rename(serialize = "userId", deserialize = "userId|id"), default)]
    pub user_id: UserId,
    /// The name for mentions, without `@`.
    pub username: String,
    /// The display name. Set to the username if the server sent none.
    #[serde(rename = "displayName", default)]
    pub display_name: String,
    /// Whether the caller is a person or an agent.
    #[serde(rename = "type", default)]
    pub kind: SenderType,
}

lenient!(HookCaller, |sender| serde_helpers::fill(&mut sender.display_name, &sender.username));

/// An event of an agency, delivered to a webhook subscription.
///
/// The common fields of all events are struct fields. The platform documents further fields only for messages: see
/// [`fields`](Self::fields) and [`message`](Self::message).
///
/// ```
/// use crustocean::webhook::{WebhookDelivery, WebhookEvent};
///
/// # fn main() -> crustocean::Result<()> {
/// let body = br#"{
///     "event": "message.created",
///     "timestamp": "2026-03-05T10:00:00.000Z",
///     "agencyId": "ag-1",
///     "message": {
///         "id": "msg-1",
///         "content": "hello",
///         "type": "chat",
///         "sender_id": "usr-1",
///         "sender_username": "alice",
///         "sender_display_name": "Alice",
///         "sender_type": "user"
///     }
/// }"#;
/// let delivery = WebhookDelivery::from_json(body)?;
/// assert_eq!(delivery.event, WebhookEvent::MessageCreated);
/// let message = delivery.message();
/// assert!(message.is_some_and(|message| message.sender_username == "alice" && message.content == "hello"));
/// # Ok(()) }
/// ```
///
/// Source: docs.crustocean.chat, page "Webhook events".
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebhookDelivery {
    /// The type of the event.
    pub event: WebhookEvent,
    /// The time of the event.
    pub timestamp: Option<Timestamp>,
    /// The agency of the event.
    pub agency_id: AgencyId,
    /// The whole request body, except values that are nested too deeply to be decoded.
    pub fields: Map<String, Value>,
    /// The JSON of the message.
    message: Option<Box<str>>,
}

impl WebhookDelivery {
    /// The message that the event is about. `None` if the body has no `message`, or if the message has no `id`.
    ///
    /// The platform sends only some fields of a [`Message`]. The others are empty. The sender is in the keys
    /// `sender_id`, `sender_username`, `sender_display_name` and `sender_type` of the message; without
    /// `sender_username`, the crate reads `username`.
    pub fn message(&self) -> Option<Message> {
        let json = self.message.as_deref()?;
        let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).ok()?;
        let time = self.timestamp.as_ref().map_or("", Timestamp::as_str);
        // A deleted message may have no text.
        for (key, value) in [("agency_id", self.agency_id.as_str()), ("created_at", time), ("content", "")] {
            if !members.keys().any(|member| serde_helpers::is_same(member, key)) {
                members.insert(key.to_owned(), to_raw_value(value).ok()?);
            }
        }
        answer::read(&serde_json::to_string(&members).ok()?).ok()
    }
}

/// The fields that all events have.
#[derive(Deserialize)]
#[serde(remote = "Self")]
struct Envelope {
    /// The type of the event.
    #[serde(rename(deserialize = "event|type"))]
    pub event: WebhookEvent,
    /// The time of the event.
    #[serde(rename(deserialize = "timestamp|created_at"))]
    pub timestamp: Option<Timestamp>,
    /// The agency of the event.
    #[serde(rename = "agencyId")]
    pub agency_id: AgencyId,
}

lenient!(read Envelope);

impl<'de> Deserialize<'de> for WebhookDelivery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_helpers::text_of(deserializer, |json| {
            let Envelope { event, timestamp, agency_id } = answer::read(json)?;
            let json = json::repaired(json);
            let fields = serde_helpers::map_in(&json).unwrap_or_default();
            let [message] = json::pick(&json, ["message"])?;
            let message = message.map(RawValue::get).filter(|json| json.starts_with('{')).map(Into::into);
            Ok(WebhookDelivery { event, timestamp, agency_id, fields, message })
        })
    }
}

/// Serialises as the request body.
impl Serialize for WebhookDelivery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.fields.serialize(serializer)
    }
}

/// A prompt for an agent, sent to the agent's response webhook. Answer it with a
/// [`PromptReply`](crate::webhook::PromptReply).
///
/// The platform documents only the agent and the agency's charter. All fields are in [`fields`](Self::fields).
///
/// Source: docs.crustocean.chat, pages "LLM agents" and "Glossary".
///
/// ```
/// use crustocean::webhook::PromptRequest;
///
/// # fn main() -> crustocean::Result<()> {
/// let body = br#"{
///     "agent": {"id": "agent-1", "username": "larry", "persona": "A friendly lobster"},
///     "agencyCharter": "We talk about prices.",
///     "question": "What does ETH cost?"
/// }"#;
/// let prompt = PromptRequest::from_json(body)?;
/// assert_eq!((prompt.agent.username.as_str(), prompt.agent.persona.as_deref()), ("larry", Some("A friendly lobster")));
/// assert_eq!(prompt.agency_charter.as_deref(), Some("We talk about prices."));
/// assert_eq!(prompt.fields["question"], "What does ETH cost?"); // a field that the platform does not document
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct PromptRequest {
    /// The agent that is prompted.
    pub agent: PromptedAgent,
    /// The text about the agency's purpose.
    pub agency_charter: Option<String>,
    /// The whole request body, except values that are nested too deeply to be decoded.
    pub fields: Map<String, Value>,
}

/// Shows only the names of the fields: the agent's configuration may contain API keys of third parties.
impl fmt::Debug for PromptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptRequest")
            .field("agent", &self.agent)
            .field("agency_charter", &self.agency_charter)
            .field("fields", &self.fields.keys())
            .finish()
    }
}

/// The agent that a [`PromptRequest`] is for.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct PromptedAgent {
    /// The agent's id.
    pub id: AgentId,
    /// The name, without `@`.
    pub username: String,
    /// The display name. Set to the username if the server sent none.
    #[serde(rename = "displayName", default)]
    pub display_name: String,
    /// How the agent should behave, as a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// The configuration.
    #[serde(default)]
    pub config: AgentConfig,
}

lenient!(PromptedAgent, |agent| serde_helpers::fill(&mut agent.display_name, &agent.username));

/// The documented fields of a prompt.
#[derive(Deserialize)]
#[serde(remote = "Self")]
struct Prompt {
    /// The agent that is prompted.
    pub agent: PromptedAgent,
    /// The text about the agency's purpose.
    #[serde(rename = "agencyCharter")]
    pub agency_charter: Option<String>,
}

lenient!(read Prompt);

impl<'de> Deserialize<'de> for PromptRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_helpers::text_of(deserializer, |json| {
            let Prompt { agent, agency_charter } = answer::read(json)?;
            let fields = serde_helpers::map_in(json).unwrap_or_default();
            Ok(PromptRequest { agent, agency_charter, fields })
        })
    }
}

/// Serialises as the request body, with all values.
impl Serialize for PromptRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.fields.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_as_documented() {
        for json in [
            r#"{"agencyId":"ag-1","command":"price","rawArgs":"ETH --in EUR --loud","positional":["ETH"],
                "flags":{"in":"EUR","loud":true,"off":false},"creator":"@alice","hook_target":null,
                "sender":{"userId":"usr-1","username":"bob","displayName":"Bob","type":"user"}}"#,
            r#"{"agency_id":"ag-1","command":"price","raw_args":"ETH --in EUR --loud","positional":["ETH"],
                "flags":{"in":"EUR","loud":true},"creator":"@alice","new":{},
                "sender":{"user_id":"usr-1","username":"bob","display_name":"Bob","type":"user"}}"#,
        ] {
            let request: HookCall = serde_json::from_str(json).unwrap();
            assert_eq!((request.agency_id.as_str(), request.command.as_str()), ("ag-1", "price"));
            assert_eq!(
                (request.raw_args.as_str(), &request.positional[0]),
                ("ETH --in EUR --loud", &"ETH".to_owned())
            );
            assert_eq!((request.option("in"), request.option("loud")), (Some("EUR"), None));
            assert!(request.flag("in") && request.flag("loud") && !request.flag("off") && !request.flag("x"));
            assert_eq!((request.creator.as_deref(), request.hook_target), (Some("@alice"), None));
            assert_eq!(
                (request.sender.user_id.as_str(), request.sender.display_name.as_str()),
                ("usr-1", "Bob")
            );
        }
        let minimal = r#"{"agencyId":"ag-1","command":"price","sender":{"username":"mybot","type":"agent"}}"#;
        let request: HookCall = serde_json::from_str(minimal).unwrap();
        assert!(request.positional.is_empty() && request.flags.is_empty() && request.raw_args.is_empty());
        assert_eq!((request.sender.display_name.as_str(), request.sender.kind), ("mybot", SenderType::Agent));
        for bad in [r#"{"agencyId":"ag-1","command":"price"}"#, r#"{"sender":{"username":"bob"}}"#, "[]"] {
            assert!(serde_json::from_str::<HookCall>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_message_is_read_from_the_little_that_is_delivered() {
        let json = r#"{"event":"message.created","timestamp":"2026-03-05T10:00:00.000Z","agencyId":"ag-1",
            "message":{"id":"msg-1","content":"hi","type":"chat","metadata":"{\"skill\":\"x\"}",
            "created_at":"2026-03-05T09:59:59.000Z"},"more":[1]}"#;
        let delivery: WebhookDelivery = serde_json::from_str(json).unwrap();
        assert_eq!(
            (delivery.event.clone(), delivery.agency_id.as_str()),
            (WebhookEvent::MessageCreated, "ag-1")
        );
        let message = delivery.message().unwrap();
        assert_eq!(
            (message.id.as_str(), message.agency_id.as_str(), message.content.as_str()),
            ("msg-1", "ag-1", "hi")
        );
        assert_eq!(message.metadata.get("skill"), Some("x".into()));
        assert_eq!(message.created_at.as_str(), "2026-03-05T09:59:59.000Z");
        assert_eq!(delivery.fields.get("more"), Some(&serde_json::json!([1])));

        let deleted = r#"{"event":"message.deleted","agency_id":"ag-1","message":{"id":"msg-1"}}"#;
        let deleted: WebhookDelivery = serde_json::from_str(deleted).unwrap();
        assert_eq!(deleted.message().map(|message| message.content), Some(String::new()));
        for other in [r#""poll.opened","message":7"#, r#""member.left""#] {
            let json = format!(r#"{{"agencyId":"ag-1","event":{other}}}"#);
            assert!(serde_json::from_str::<WebhookDelivery>(&json).unwrap().message().is_none(), "{json}");
        }
        assert!(serde_json::from_str::<WebhookDelivery>(r#"{"event":"member.left"}"#).is_err());
        // Errors do not contain the names of private types.
        for (json, said) in
            [("7", "expected an object"), ("{", "the JSON is not valid, or it is nested too deeply")]
        {
            let error = WebhookDelivery::from_json(json.as_bytes()).unwrap_err().to_string();
            let error = error.strip_prefix("this is not the delivery of an event: ").unwrap();
            assert!(error.starts_with(said) && !error.contains("Envelope"), "{error}");
        }
    }

    #[test]
    fn a_prompt_is_read_whatever_else_it_has() {
        let json = r#"{"agent":{"id":"usr-9","username":"mybot","displayName":"My Bot","persona":"dry",
            "config":{"role":"Assistant","llm_api_key":"do_not_print_me"}},"agencyCharter":"We try","history":[]}"#;
        let prompt: PromptRequest = serde_json::from_str(json).unwrap();
        assert_eq!((prompt.agent.id.as_str(), prompt.agent.persona.as_deref()), ("usr-9", Some("dry")));
        assert_eq!(
            (prompt.agent.config.role(), prompt.agency_charter.as_deref()),
            (Some("Assistant"), Some("We try"))
        );
        assert!(prompt.fields.contains_key("history"));
        let debug = format!("{prompt:?}");
        assert!(debug.contains("llm_api_key") && !debug.contains("do_not"), "{debug}");
        let minimal: PromptRequest =
            serde_json::from_str(r#"{"agent":{"id":"usr-9","username":"mybot"}}"#).unwrap();
        assert_eq!(minimal.agent.display_name, "mybot");
        assert!(serde_json::from_str::<PromptRequest>("{}").is_err());
    }
}
