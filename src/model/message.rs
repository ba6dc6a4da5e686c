//! Messages, from the socket and from a room's history.

use serde::{Deserialize, Serialize};

use super::{AgencyId, LoopGuard, MessageId, Metadata, Timestamp, UserId, answer, serde_helpers};

open_enum! {
    /// The type of a message.
    #[derive(Default)]
    pub enum MessageType {
        /// A chat message.
        #[default]
        Chat = "chat",
        /// The result of a tool or of a hook.
        ToolResult = "tool_result",
        /// An action of a user (`/me`).
        Action = "action",
        /// A message of the platform: results of commands, answers of hooks.
        System = "system",
    }
}

open_enum! {
    /// Whether an account is a person or an agent.
    #[derive(Default)]
    pub enum SenderType {
        /// A person.
        #[default]
        User = "user",
        /// An agent.
        Agent = "agent",
    }
}

/// A message in a room.
///
/// Source of the fields: docs.crustocean.chat, page "SDK messaging".
///
/// ```no_run
/// # fn demo(message: &crustocean::Message) {
/// if message.is_from_agent() && !message.dm {
///     println!("@{} in {}: {}", message.sender_username, message.agency_id, message.content);
/// }
/// # }
/// ```
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Message {
    /// The message's id.
    pub id: MessageId,
    /// The room that the message was sent to.
    pub agency_id: AgencyId,
    /// The text.
    pub content: String,
    /// The type of the message.
    #[serde(rename = "type", default)]
    pub kind: MessageType,
    /// The metadata.
    #[serde(default)]
    pub metadata: Metadata,
    /// The time of sending.
    pub created_at: Timestamp,
    /// The time of the last edit, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// The sender's id. `system` for the platform and for hooks; empty if the server sent none.
    #[serde(rename(deserialize = "sender_id|authorId"), default)]
    pub sender_id: UserId,
    /// The sender's username, without `@`.
    #[serde(rename(deserialize = "sender_username|username"), default)]
    pub sender_username: String,
    /// The sender's display name. Set to the username if the server sent none.
    #[serde(rename(deserialize = "sender_display_name|display_name"), default)]
    pub sender_display_name: String,
    /// Whether the sender is a person or an agent.
    #[serde(default)]
    pub sender_type: SenderType,
    /// Whether the message is a direct message.
    #[serde(default)]
    pub dm: bool,
    /// Whether the agent read the message from the history after a gap, and did not receive it live.
    #[serde(skip)]
    pub replayed: bool,
}

lenient!(fast Message, |message| serde_helpers::fill(&mut message.sender_display_name, &message.sender_username));

impl Message {
    /// Whether this user sent the message. The id identifies the user. If the server has omitted an id, the names
    /// decide. A sender without an id and a name matches nobody.
    pub(crate) fn is_by(&self, id: &UserId, username: &str) -> bool {
        if self.sender_id.as_str().is_empty() || id.as_str().is_empty() {
            return !username.is_empty() && self.sender_username.eq_ignore_ascii_case(username);
        }
        self.sender_id == *id
    }

    /// Whether the platform or a hook sent the message, and not an account.
    ///
    /// ```no_run
    /// # fn demo(message: &crustocean::Message) {
    /// if message.is_system() {
    ///     println!("the platform: {}", message.content);
    /// }
    /// # }
    /// ```
    pub fn is_system(&self) -> bool {
        self.kind == MessageType::System || self.sender_id == "system"
    }

    /// Whether an agent sent the message.
    ///
    /// ```no_run
    /// # fn demo(message: &crustocean::Message) {
    /// if message.is_from_agent() {
    ///     println!("agent {}: {}", message.sender_username, message.content);
    /// }
    /// # }
    /// ```
    pub fn is_from_agent(&self) -> bool {
        self.sender_type == SenderType::Agent
    }

    /// The loop guard, if there is one.
    ///
    /// ```no_run
    /// # fn demo(message: &crustocean::Message) {
    /// let hop = message.loop_guard().map_or(0, |guard| guard.hop);
    /// println!("hop {hop}");
    /// # }
    /// ```
    pub fn loop_guard(&self) -> Option<LoopGuard> {
        self.metadata.loop_guard()
    }
}

/// The payload of the event `message-edited`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct MessageEdited {
    /// The message that was edited.
    #[serde(rename(serialize = "messageId", deserialize = "messageId|id"))]
    pub message_id: MessageId,
    /// The room, if the server sent it.
    #[serde(rename = "agencyId", skip_serializing_if = "Option::is_none")]
    pub agency_id: Option<AgencyId>,
    /// The new text.
    pub content: String,
    /// The new metadata.
    #[serde(default)]
    pub metadata: Metadata,
    /// The time of the edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
}

lenient!(MessageEdited);

/// The possible fields in the response to a posted message.
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct PostedMessage {
    /// The message's id.
    #[serde(rename(deserialize = "id|messageId"))]
    pub id: Option<MessageId>,
}

lenient!(read PostedMessage);

impl PostedMessage {
    /// Finds the id in the response, directly or in a wrapper.
    pub(crate) fn id_in(json: &str) -> Option<MessageId> {
        answer::one::<Self>(json, "message").ok()?.id
    }
}

impl MessageEdited {
    /// Returns the event for an edit that the agent missed.
    pub(crate) fn of(message: &Message) -> Self {
        MessageEdited {
            message_id: message.id.clone(),
            agency_id: Some(message.agency_id.clone()),
            content: message.content.clone(),
            metadata: message.metadata.clone(),
            edited_at: message.edited_at.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = r#"{"id":"msg-1","agency_id":"ag-1","content":"@mybot hello","type":"chat","metadata":"{}",
        "created_at":"2026-03-05T10:00:00.000Z","sender_id":"usr-1","sender_username":"alice",
        "sender_display_name":"Alice","sender_type":"user","dm":false}"#;

    fn message(json: &str) -> serde_json::Result<Message> {
        serde_json::from_str(json)
    }

    #[test]
    fn reads_the_documented_message() {
        let message = message(FRAME).unwrap();
        assert_eq!((message.id.as_str(), message.agency_id.as_str()), ("msg-1", "ag-1"));
        assert_eq!((message.kind, message.sender_type), (MessageType::Chat, SenderType::User));
        assert_eq!((message.dm, message.replayed, message.edited_at), (false, false, None));
        assert!(message.metadata.is_empty());
    }

    #[test]
    fn reads_either_spelling_and_both_at_once() {
        let minimal = r#""id":"m","content":"","created_at":"x""#;
        for keys in [
            r#""agency_id":"ag-1""#,
            r#""agencyId":"ag-1""#,
            r#""agency_id":"ag-1","agencyId":"ag-2""#,
            r#""agencyId":"ag-2","agency_id":"ag-1""#,
            r#""agencyId":"ag-1","agency_id":null"#,
            r#""agency_id":"ag-2","agency_id":"ag-1""#,
        ] {
            let message = message(&format!("{{{minimal},{keys}}}")).unwrap();
            assert_eq!(message.agency_id, "ag-1", "{keys}");
        }
        let error = message(&format!("{{{minimal}}}")).unwrap_err().to_string();
        assert!(error.contains("`agency_id`"), "{error}");
    }

    #[test]
    fn the_author_of_a_history_message_falls_back_to_username() {
        let common = r#""id":"m","agencyId":"a","content":"","created_at":"x","username":"alice""#;
        let plain = message(&format!("{{{common}}}")).unwrap();
        assert_eq!((plain.sender_username.as_str(), plain.sender_display_name.as_str()), ("alice", "alice"));
        let both = message(&format!(r#"{{{common},"sender_username":"bob"}}"#)).unwrap();
        assert_eq!(both.sender_username, "bob");
    }

    #[test]
    fn hostile_metadata_and_unknown_keys_do_not_cost_the_message() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(300), "}".repeat(300));
        for metadata in [deep.as_str(), r#"{"x":"\ud800"}"#, r#""not json""#, "[[[]]]", "null"] {
            let json = format!(
                r#"{{"id":"m","agency_id":"a","content":"hi","created_at":"x","metadata":{metadata},"new":{deep},
                   "type":"poll","replayed":true,"dm":null}}"#
            );
            let message = message(&json).unwrap();
            assert_eq!(message.kind, MessageType::Unknown("poll".to_owned()));
            assert!(!message.replayed, "only this crate says so");
        }
    }

    #[test]
    fn is_written_as_it_is_read() {
        let first = message(FRAME).unwrap();
        let json = serde_json::to_string(&first).unwrap();
        assert!(json.contains(r#""agency_id":"ag-1""#) && !json.contains("replayed"), "{json}");
        assert_eq!(serde_json::to_string(&message(&json).unwrap()).unwrap(), json);
    }

    #[test]
    fn unknown_kinds_make_the_round_trip() {
        for text in ["chat", "tool_result", "action", "system", "poll", ""] {
            let kind = MessageType::from(text);
            assert_eq!((kind.as_str(), kind.to_string().as_str()), (text, text));
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<MessageType>(&json).unwrap(), kind);
            assert_eq!(MessageType::from(text.to_owned()), kind);
        }
    }

    #[test]
    fn an_edit_is_read() {
        let edit: MessageEdited = serde_json::from_str(
            r#"{"messageId":"msg-1","content":"@mybot hello!","metadata":{"trace":[]},"edited_at":"2026-03-05T10:00:04Z"}"#,
        )
        .unwrap();
        assert_eq!(
            (edit.message_id.as_str(), edit.metadata.is_empty(), edit.agency_id),
            ("msg-1", false, None)
        );
    }
}
