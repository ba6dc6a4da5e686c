//! Messages.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::ids;
use crate::store::accounts::Account;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// The message's number in its room.
    #[serde(skip)]
    pub(crate) number: u64,
    pub(crate) agency_id: String,
    pub(crate) content: String,
    pub(crate) kind: String,
    pub(crate) metadata: Value,
    pub(crate) created_at: u64,
    pub(crate) edited_at: Option<u64>,
    pub(crate) sender_id: String,
    pub(crate) sender_username: String,
    pub(crate) sender_display_name: String,
    #[serde(deserialize_with = "known_type")]
    pub(crate) sender_type: SenderType,
    pub(crate) dm: bool,
}

type SenderType = &'static str;

fn known_type<'de, D: Deserializer<'de>>(from: D) -> Result<&'static str, D::Error> {
    Ok(if String::deserialize(from)? == "agent" { "agent" } else { "user" })
}

impl Message {
    /// A message of a user or an agent. `dm`: its room is a direct conversation.
    pub(crate) fn new(
        room: (&str, bool),
        sender: &Account,
        kind: &str,
        content: &str,
        metadata: Value,
    ) -> Self {
        let (agency_id, dm) = room;
        Message {
            id: ids::uuid(),
            number: 0,
            agency_id: agency_id.to_owned(),
            content: content.to_owned(),
            kind: kind.to_owned(),
            metadata,
            created_at: clock::now_ms(),
            edited_at: None,
            sender_id: sender.id.clone(),
            sender_username: sender.username.clone(),
            sender_display_name: sender.display_name.clone(),
            sender_type: sender.kind(),
            dm,
        }
    }

    /// The result of a command, with the sender `system`.
    pub(crate) fn system(agency_id: &str, kind: &str, content: &str) -> Self {
        Message {
            id: ids::uuid(),
            number: 0,
            agency_id: agency_id.to_owned(),
            content: content.to_owned(),
            kind: kind.to_owned(),
            metadata: json!({}),
            created_at: clock::now_ms(),
            edited_at: None,
            sender_id: "system".to_owned(),
            sender_username: "system".to_owned(),
            sender_display_name: "System".to_owned(),
            // The reference has only `user` and `agent`, and a system message is not from an agent.
            sender_type: "user",
            dm: false,
        }
    }

    /// Its approximate memory size, in bytes.
    pub(crate) fn size(&self) -> usize {
        /// Ids, names and the structure around them.
        const FIXED: usize = 512;
        FIXED + self.content.len() + value_size(&self.metadata)
    }

    /// `user`, `agent` or `system`.
    pub(crate) fn sender_kind(&self) -> &str {
        if self.sender_id == "system" { "system" } else { self.sender_type }
    }

    pub(crate) fn json(&self, metadata_as_string: bool) -> Value {
        let mut message = json!({
            "id": self.id,
            "agency_id": self.agency_id,
            "content": self.content,
            "type": self.kind,
            "metadata": metadata_json(&self.metadata, metadata_as_string),
            "created_at": clock::iso(self.created_at),
            "sender_id": self.sender_id,
            "sender_username": self.sender_username,
            "sender_display_name": self.sender_display_name,
            "sender_type": self.sender_type,
            "dm": self.dm,
        });
        if let (Some(at), Some(message)) = (self.edited_at, message.as_object_mut()) {
            message.insert("edited_at".to_owned(), clock::iso(at).into());
        }
        message
    }

    /// Whether the text mentions `@handle`, as a whole name.
    pub(crate) fn mentions(&self, handle: &str) -> bool {
        let text = self.content.to_lowercase();
        let needle = format!("@{handle}");
        let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        text.match_indices(&needle).any(|(start, found)| {
            let before = text.get(..start).and_then(|head| head.chars().next_back());
            let after = text.get(start + found.len()..).and_then(|tail| tail.chars().next());
            !before.is_some_and(of_name) && !after.is_some_and(of_name)
        })
    }
}

/// Metadata as an object or as a string, because real servers send both. A string stays a string.
pub(crate) fn metadata_json(metadata: &Value, as_string: bool) -> Value {
    match metadata {
        Value::String(_) => metadata.clone(),
        other if as_string => Value::String(other.to_string()),
        other => other.clone(),
    }
}

fn value_size(value: &Value) -> usize {
    const NODE: usize = 64;
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(value_size).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + value_size(value)).sum(),
        _ => 0,
    }
}
