//! What a slash command answers.

use super::{MessageEdited, MessageId, MessageType, Metadata};
use crate::error::{Error, ErrorKind, Result};

api_struct! {
    /// What became of a slash command.
    #[derive(Debug, Clone)]
    pub struct CommandReply {
        /// Whether it worked. If not, [`content`](CommandReply::content) says why.
        ok: bool = default("ok"),
        /// The command's name, without the slash.
        command: String = default("command"),
        /// The result. The final one if a hook was slow, unless it is still [`pending`](CommandReply::pending).
        content: String = default("content" | "error" | "message"),
        /// What kind of message the result is: `system`, `tool_result`, … (`chat` if the server does not say).
        kind: MessageType = default("type"),
        /// Whether only the caller can see the result, wherever it was asked to be shown.
        ephemeral: bool = default("ephemeral"),
        /// Whether the command waits for its turn on the server. There is no result yet, and none will be sent here.
        queued: bool = default("queued"),
        /// The message that has the result, if the room can see it or a hook is going to complete it.
        message_id: Option<MessageId> = optional("messageId" | "message_id"),
        /// What the result carries besides its text.
        metadata: Metadata = default("metadata"),
        /// Whether the content is still the placeholder of a slow hook. Its answer comes later, as
        /// [`Event::MessageEdited`](crate::Event::MessageEdited) with the same [`message_id`](CommandReply::message_id).
        pending: bool = local(),
    }
    then |reply| {
        // Some servers answer with the slash, some without.
        if reply.command.starts_with('/') {
            reply.command.remove(0);
        }
        reply.pending = is_placeholder(&reply.content);
        Ok(())
    }
}

impl CommandReply {
    /// A command that failed as an error, with its content as the [`server_message`](Error::server_message).
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) unless [`ok`](CommandReply::ok).
    #[inline]
    pub fn into_result(self) -> Result<Self> {
        if self.ok {
            return Ok(self);
        }
        let text = format!("the command /{} failed: {}", self.command, self.content);
        Err(Error::new(ErrorKind::Rejected, text).with_server_message(self.content))
    }

    /// Takes over what the placeholder has become: the result, or another placeholder.
    #[inline]
    pub(crate) fn complete(&mut self, edit: MessageEdited) {
        self.pending = is_placeholder(&edit.content);
        self.content = edit.content;
        self.metadata = edit.metadata;
    }
}

/// What slow hooks say at first. The final text replaces it.
#[inline]
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
