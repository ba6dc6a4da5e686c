//! The conversation in a room, in the form that a language model takes.

use crate::agent::respond::decide::said_by;
use crate::agent::rooms::RoomHandle;
use crate::blank::is_blank;
use crate::error::Result;
use crate::model::{Message, TranscriptStep};
use serde::Serialize;
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

/// The role of a speaker, in the terms of language models. In JSON it is `"user"` or `"assistant"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TurnRole {
    /// Somebody else.
    User,
    /// The agent itself.
    Assistant,
}

impl TurnRole {
    /// The role's name in the usual APIs: `user` or `assistant`.
    pub fn as_str(self) -> &'static str {
        match self {
            TurnRole::User => "user",
            TurnRole::Assistant => "assistant",
        }
    }
}

/// Consecutive messages of one role. In JSON it is an object with the fields `role`, `name` and `text`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Turn {
    /// The role of the speaker: the agent or somebody else.
    pub role: TurnRole,
    /// The username of the speaker. If several people spoke, all usernames: `alice, bob`.
    pub name: String,
    /// The texts of the messages, joined by line breaks. If several people spoke, each text begins with `name: `.
    pub text: String,
}

/// Reads the conversation up to a message. Returned by [`Room::conversation`](crate::Room::conversation).
///
/// ```no_run
/// # fn ask_a_model(input: String) -> std::io::Result<String> { Ok(input) }
/// # fn demo(mention: crustocean::Mention) -> Result<(), Box<dyn std::error::Error>> {
/// let room = mention.room();
/// let turns = room.conversation(&mention).characters(20_000).messages(50).tools(true).turns()?;
/// mention.reply(ask_a_model(serde_json::to_string(&turns)?)?)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "call turns() to read the conversation"]
pub struct ConversationReader<'a> {
    room: &'a RoomHandle,
    to: &'a Message,
    characters: usize,
    messages: usize,
    tools: bool,
}

/// The most characters of a tool's input or output that a turn contains.
const MAX_TOOL_TEXT: usize = 500;

impl<'a> ConversationReader<'a> {
    pub(crate) fn new(room: &'a RoomHandle, to: &'a Message) -> Self {
        ConversationReader { room, to, characters: 8_000, messages: 100, tools: false }
    }

    /// The most characters of all texts together. The turns leave out older messages that do not fit, and always
    /// contain the whole last message. Defaults to 8,000.
    pub fn characters(mut self, most: usize) -> Self {
        self.characters = most;
        self
    }

    /// The most messages in the turns. Defaults to 100.
    pub fn messages(mut self, most: usize) -> Self {
        self.messages = most;
        self
    }

    /// Whether a message of one of the agent's runs begins with the tool calls of that run. Each call and each result
    /// is one line, with the first 500 characters of the input or the output. The crate sends one more request for each
    /// message of a run. Defaults to `false`.
    pub fn tools(mut self, on: bool) -> Self {
        self.tools = on;
        self
    }

    /// Reads the room's history as far back as needed. Returns the turns up to and including the message, oldest first.
    /// The agent's own messages have the role [`Assistant`](TurnRole::Assistant). The turns leave out logs and the
    /// platform's own messages. Consecutive messages of one role form one turn.
    ///
    /// ```no_run
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// for turn in mention.room().conversation(&mention).characters(8_000).turns()? {
    ///     println!("{} ({}): {}", turn.role.as_str(), turn.name, turn.text);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [every REST call](crate::rest#errors), from the request for the history.
    pub fn turns(&self) -> Result<Vec<Turn>> {
        let last = self.turn(self.to);
        let mut left = self.characters.saturating_sub(last.text.chars().count());
        let mut turns = vec![last];
        let mut reached = false;
        for message in self.room.history().iter() {
            let message = message?;
            if message.id == self.to.id {
                reached = true;
                continue;
            }
            // Skip messages that are newer than `to`. If the history does not contain `to`, compare the times.
            reached |= message.created_at < self.to.created_at;
            let unwanted =
                message.is_system() || message.metadata.is_agent_log() || is_blank(&message.content);
            if !reached || unwanted {
                continue;
            }
            if turns.len() >= self.messages {
                break;
            }
            let turn = self.turn(&message);
            let size = turn.text.chars().count();
            if size > left {
                break;
            }
            left -= size;
            turns.push(turn);
        }
        turns.reverse();
        Ok(turns.chunk_by(|one, next| one.role == next.role).filter_map(merged).collect())
    }

    fn turn(&self, message: &Message) -> Turn {
        let role = if said_by(message, &self.room.agent.me) { TurnRole::Assistant } else { TurnRole::User };
        let mut text = message.content.trim().to_owned();
        if self.tools && role == TurnRole::Assistant {
            text.insert_str(0, &self.tools_of(message));
        }
        Turn { role, name: message.sender_username.clone(), text }
    }

    /// The tool calls of the message's run, one per line. Empty if the message has no run, or if the transcript cannot
    /// be read.
    fn tools_of(&self, message: &Message) -> String {
        let Some(id) = message.metadata.run_id() else { return String::new() };
        let Ok(record) = self.room.agent.client.runs().get(&id) else { return String::new() };
        let mut text = String::new();
        for entry in &record.transcript {
            match entry.step() {
                TranscriptStep::ToolCall { tool, input, .. } => {
                    text.push_str(&format!("[{tool} {}]\n", short(input)));
                }
                TranscriptStep::ToolResult { tool, output, .. } => {
                    text.push_str(&format!("[{tool}: {}]\n", short(output)));
                }
                _ => {}
            }
        }
        text
    }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let Some((most, _)) = text.char_indices().nth(MAX_TOOL_TEXT) else { return text };
    // An emoji of several characters stays whole.
    let ends = text.grapheme_indices(true).map(|(at, _)| at);
    let end = ends.take_while(|at| *at <= most).last().filter(|end| *end > 0).unwrap_or(most);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// One turn from consecutive turns of one role.
fn merged(turns: &[Turn]) -> Option<Turn> {
    let mut names: Vec<&str> = Vec::new();
    for turn in turns {
        if !names.contains(&turn.name.as_str()) {
            names.push(&turn.name);
        }
    }
    let line = |turn: &Turn| match names.len() {
        1 => turn.text.clone(),
        _ => format!("{}: {}", turn.name, turn.text),
    };
    let text = turns.iter().map(line).collect::<Vec<_>>().join("\n");
    Some(Turn { role: turns.first()?.role, name: names.join(", "), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_written_as_json() {
        for role in [TurnRole::User, TurnRole::Assistant] {
            let turn = Turn { role, name: "alice".to_owned(), text: "hello".to_owned() };
            let expected = format!(r#"{{"role":"{}","name":"alice","text":"hello"}}"#, role.as_str());
            assert_eq!(serde_json::to_string(&turn).unwrap(), expected);
        }
    }
}
