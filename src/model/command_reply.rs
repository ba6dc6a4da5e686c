//! What a slash command answers.

use serde::{Deserialize, Serialize};

use super::{MessageEdited, MessageId, MessageType, Metadata};
use crate::error::{Error, ErrorKind, Result};

/// What became of a slash command.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct CommandReply {
    /// Whether it worked. If not, [`content`](CommandReply::content) says why.
    #[serde(default)]
    pub ok: bool,
    /// The command's name, without the slash.
    #[serde(default)]
    pub command: String,
    /// The result. The final one if a hook was slow, unless it is still [`pending`](CommandReply::pending).
    #[serde(rename(deserialize = "content|error|message"), default)]
    pub content: String,
    /// What kind of message the result is: `system`, `tool_result`, … (`chat` if the server does not say).
    #[serde(rename = "type", default)]
    pub kind: MessageType,
    /// Whether only the caller can see the result, wherever it was asked to be shown.
    #[serde(default)]
    pub ephemeral: bool,
    /// Whether the command waits for its turn on the server. There is no result yet, and none will be sent here.
    #[serde(default)]
    pub queued: bool,
    /// The message that has the result, if the room can see it or a hook is going to complete it.
    #[serde(rename = "messageId", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// What the result carries besides its text.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether the content is still the placeholder of a slow hook. Its answer comes later, as
    /// [`Event::MessageEdited`](crate::Event::MessageEdited) with the same [`message_id`](CommandReply::message_id).
    #[serde(skip)]
    pub pending: bool,
}

lenient!(CommandReply, |reply| {
    // Some servers answer with the slash, some without.
    if reply.command.starts_with('/') {
        reply.command.remove(0);
    }
    reply.pending = is_placeholder(&reply.content);
});

impl CommandReply {
    /// A command that failed as an error, with its content as the [`server_message`](Error::server_message).
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected) unless [`ok`](CommandReply::ok).
    pub fn into_result(self) -> Result<Self> {
        if self.ok {
            return Ok(self);
        }
        let text = format!("the command /{} failed: {}", self.command, self.content);
        Err(Error::new(ErrorKind::Rejected, text).with_server_message(self.content))
    }

    /// Takes over what the placeholder has become: the result, or another placeholder.
    pub(crate) fn complete(&mut self, edit: MessageEdited) {
        self.pending = is_placeholder(&edit.content);
        self.content = edit.content;
        self.metadata = edit.metadata;
    }
}

/// What slow hooks say at first. The final text replaces it.
fn is_placeholder(content: &str) -> bool {
    let content = content.trim_start();
    content.starts_with("[spinner") || content.starts_with("<spinner")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(json: &str) -> CommandReply {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn reads_the_answers_that_are_known() {
        let notes = reply(r#"{"ok":true,"command":"/notes","content":"Notes (3)","type":"system"}"#);
        assert_eq!((notes.ok, notes.command.as_str(), notes.content.as_str()), (true, "notes", "Notes (3)"));
        assert_eq!(
            (notes.kind, notes.ephemeral, notes.queued, notes.pending),
            (MessageType::System, false, false, false)
        );
        let queued = reply(r#"{"ok":true,"command":"build","queued":true,"messageId":"m","new":[{}]}"#);
        assert_eq!(
            (queued.queued, queued.content.as_str(), queued.message_id.unwrap().as_str()),
            (true, "", "m")
        );
        let failed = reply(r#"{"ok":false,"command":"x","error":"No such command"}"#);
        let error = failed.into_result().unwrap_err();
        assert_eq!((error.kind(), error.server_message()), (ErrorKind::Rejected, Some("No such command")));
        assert!(!reply("{}").ok, "only a yes is a yes");
        assert!(serde_json::from_str::<CommandReply>("null").is_err());
    }

    #[test]
    fn knows_placeholders() {
        assert!(is_placeholder("[spinner:Working]") && is_placeholder(" <spinner>working</spinner>"));
        assert!(!is_placeholder("spinner") && !is_placeholder("done [spinner]") && !is_placeholder(""));
    }
}
