//! What was said in a room, as a language model wants it.

use crate::agent::Room;
use crate::blank::is_blank;
use crate::error::Result;
use crate::model::{Message, TranscriptStep};
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

/// Who speaks, as language models call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Somebody else.
    User,
    /// The agent itself.
    Assistant,
}

impl Role {
    /// `user` or `assistant`, as the usual APIs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// What one side said, up to where the other one speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// Whether it was the agent.
    pub role: Role,
    /// The username of who spoke; of several, all of them: `alice, bob`.
    pub name: String,
    /// The texts, one a line. If several people spoke, each begins with `name: `.
    pub text: String,
}

/// Reads what led to a message. From [`Room::conversation`].
#[derive(Debug, Clone)]
#[must_use = "nothing is read before turns()"]
pub struct ConversationReader<'a> {
    room: &'a Room,
    to: &'a Message,
    characters: usize,
    messages: usize,
    tools: bool,
}

/// What is kept of a tool's input or output.
const MOST_OF_A_TOOL: usize = 500;

impl<'a> ConversationReader<'a> {
    pub(crate) fn new(room: &'a Room, to: &'a Message) -> Self {
        ConversationReader { room, to, characters: 8_000, messages: 100, tools: false }
    }

    /// How many characters the texts may have together; older messages are left out. The last one is always there, and
    /// whole. Defaults to 8,000.
    pub fn characters(mut self, most: usize) -> Self {
        self.characters = most;
        self
    }

    /// How many messages are taken at most. Defaults to 100.
    pub fn messages(mut self, most: usize) -> Self {
        self.messages = most;
        self
    }

    /// Whether the tools of the agent's past runs are told in front of what the run entries: a line each, with input and
    /// output, the first 500 characters of them. It costs a request for each run. Defaults to false.
    pub fn tools(mut self, on: bool) -> Self {
        self.tools = on;
        self
    }

    /// Reads the history back as far as needed: oldest first, up to and with the message. The agent's own words are
    /// [`Assistant`](Role::Assistant); logs and the platform's words are left out; neighbours of one role are one turn.
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
    /// What the server says to the request for the history.
    pub fn turns(&self) -> Result<Vec<Turn>> {
        let mut entries = vec![self.entry(self.to)];
        let mut left = self.characters.saturating_sub(length(&entries));
        let mut reached = false;
        for message in self.room.history().iter() {
            let message = message?;
            if message.id == self.to.id {
                reached = true;
                continue;
            }
            // What was said after it. Where it is not in the history (any more), its time tells.
            reached |= message.created_at < self.to.created_at;
            let unwanted =
                message.is_system() || message.metadata.is_agent_log() || is_blank(&message.content);
            if !reached || unwanted {
                continue;
            }
            if entries.len() >= self.messages {
                break;
            }
            let one = self.entry(&message);
            let size = one.2.chars().count();
            if size > left {
                break;
            }
            left -= size;
            entries.push(one);
        }
        entries.reverse();
        Ok(merged(entries))
    }

    fn entry(&self, message: &Message) -> (Role, String, String) {
        let role = if message.is_own(self.room.agent()) { Role::Assistant } else { Role::User };
        let mut text = message.content.trim().to_owned();
        if self.tools && role == Role::Assistant {
            text.insert_str(0, &self.tools_of(message));
        }
        (role, message.sender_username.clone(), text)
    }

    /// A run whose transcript cannot be read is told without its tools.
    fn tools_of(&self, message: &Message) -> String {
        let Some(id) = message.metadata.run_id() else { return String::new() };
        let Ok(record) = self.room.agent().client().runs().get(&id) else { return String::new() };
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

impl Room {
    /// What was said here up to a message, as a language model wants it: whose turn, the name, the text; the last 8,000
    /// characters unless [`characters`](ConversationReader::characters) says otherwise.
    ///
    /// ```no_run
    /// # fn demo(mention: crustocean::Mention) -> crustocean::Result<()> {
    /// let turns = mention.room().conversation(&mention).characters(8_000).turns()?;
    /// # let _ = turns;
    /// # Ok(()) }
    /// ```
    pub fn conversation<'a>(&'a self, to: &'a Message) -> ConversationReader<'a> {
        ConversationReader::new(self, to)
    }
}

fn length(entries: &[(Role, String, String)]) -> usize {
    entries.iter().map(|(_, _, text)| text.chars().count()).sum()
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let Some((most, _)) = text.char_indices().nth(MOST_OF_A_TOOL) else { return text };
    // An emoji of several characters stays whole.
    let ends = text.grapheme_indices(true).map(|(at, _)| at);
    let end = ends.take_while(|at| *at <= most).last().filter(|end| *end > 0).unwrap_or(most);
    format!("{}…", text.get(..end).unwrap_or_default())
}

fn merged(entries: Vec<(Role, String, String)>) -> Vec<Turn> {
    let mut turns = Vec::new();
    for group in entries.chunk_by(|one, next| one.0 == next.0) {
        let Some((role, first, _)) = group.first() else { continue };
        let mut names: Vec<&str> = Vec::new();
        for (_, name, _) in group {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let alone = names.len() == 1;
        let line = |(_, name, text): &(Role, String, String)| match alone {
            true => text.clone(),
            false => format!("{name}: {text}"),
        };
        let text = group.iter().map(line).collect::<Vec<_>>().join("\n");
        let name = if alone { first.clone() } else { names.join(", ") };
        turns.push(Turn { role: *role, name, text });
    }
    turns
}
