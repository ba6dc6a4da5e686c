//! The server's own slash commands.

pub(crate) mod hook;
pub(crate) mod list;
pub(crate) mod manage;
pub(crate) mod moderation;
pub(crate) mod notes;
pub(crate) mod platform;

use std::time::Duration;

use serde_json::Value;

/// The result of a command.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) ok: bool,
    pub(crate) command: String,
    pub(crate) content: String,
    /// The type of the message; `system` unless a webhook says otherwise.
    pub(crate) kind: Option<String>,
    pub(crate) metadata: Option<Value>,
    /// The username and display name to show instead of `system`.
    pub(crate) sender: Option<(String, String)>,
    /// Whether only the caller sees the result.
    pub(crate) ephemeral: bool,
    /// The delay until the real answer, and its text. Until then `content` is a placeholder.
    pub(crate) later: Option<(Duration, String)>,
}

/// The name and arguments, if a message is a command.
pub(crate) fn parse(content: &str) -> Option<(String, &str)> {
    let rest = content.strip_prefix('/')?;
    let (name, args) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let starts = name.chars().next().is_some_and(|first| first.is_ascii_alphabetic());
    starts.then(|| (name.to_lowercase(), args.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_message_is_a_command() {
        assert_eq!(parse("/echo  hi there "), Some(("echo".to_owned(), "hi there")));
        assert_eq!(parse("/HELP"), Some(("help".to_owned(), "")));
        assert_eq!(parse("see /help"), None);
        assert_eq!(parse("/ help"), None);
        assert_eq!(parse("/usr/bin").map(|c| c.0), Some("usr/bin".to_owned()));
    }
}
