//! The result of a slash command.

use serde::{Deserialize, Serialize};

use super::{MessageEdited, MessageId, MessageType, Metadata};
use crate::error::{Error, ErrorKind, Result};

/// The result of a slash command.
///
/// ```no_run
/// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
/// let reply = room.command("/roll 2d6").send()?;
/// if reply.ok {
///     println!("{}", reply.content);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct CommandReply {
    /// Whether the command succeeded. If not, [`content`](CommandReply::content) says why.
    #[serde(default)]
    pub ok: bool,
    /// The command's name, without the slash.
    #[serde(default)]
    pub command: String,
    /// The text of the result. For a slow hook, the final text, unless the reply is still
    /// [`pending`](CommandReply::pending).
    #[serde(rename(deserialize = "content|error|message"), default)]
    pub content: String,
    /// The type of the result: `system`, `tool_result`, … (`chat` if the server does not send it).
    #[serde(rename = "type", default)]
    pub kind: MessageType,
    /// Whether only the caller can see the result.
    #[serde(default)]
    pub ephemeral: bool,
    /// Whether the server has queued the command. The reply then contains no result, and this call does not return the
    /// result later.
    #[serde(default)]
    pub queued: bool,
    /// The message with the result, if the room shows the message or a hook will complete it.
    #[serde(rename = "messageId", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The metadata of the result.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether the text is still the placeholder of a slow hook. The result comes later, as
    /// [`Event::MessageEdited`](crate::Event::MessageEdited) with the same [`message_id`](CommandReply::message_id).
    #[serde(skip)]
    pub pending: bool,
}

lenient!(CommandReply, |reply| {
    // Some servers send the name with the slash, some without.
    if reply.command.starts_with('/') {
        reply.command.remove(0);
    }
    reply.pending = is_placeholder(&reply.content);
});

impl CommandReply {
    /// Turns a failed command into an error, with the text of the reply as the
    /// [`server_message`](Error::server_message).
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected) if the command failed ([`ok`](CommandReply::ok) is `false`).
    pub fn into_result(self) -> Result<Self> {
        if self.ok {
            return Ok(self);
        }
        let text = format!("the command /{} failed: {}", self.command, self.content);
        Err(Error::new(ErrorKind::Rejected, text).with_server_message(self.content))
    }

    /// Replaces the placeholder by an edit: the result, or another placeholder.
    pub(crate) fn complete(&mut self, edit: MessageEdited) {
        self.pending = is_placeholder(&edit.content);
        self.content = edit.content;
        self.metadata = edit.metadata;
    }
}

/// Whether the text is the first text of a slow hook, which the final text replaces.
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
