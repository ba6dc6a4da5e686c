//! The lines of a script: users' messages, and the expected answers of a bot.

use serde::{Deserialize, Serialize};

use crate::store::messages::Message;

/// One line of a script, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    Say(Say),
    Expect(Expect),
}

/// A user's message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Say {
    pub(crate) say: String,
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub(crate) who: Option<String>,
    /// A slug, or `@one,@other` for a direct conversation. Defaults to the Lobby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) room: Option<String>,
    /// The pause after the previous line, in ms.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) after_ms: u64,
}

/// An expected answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) expect: Matcher,
    /// The username of the answer's sender. Defaults to the bot of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) room: Option<String>,
    /// How long the answer may take. Defaults to 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) within_ms: Option<u64>,
}

/// How the script compares an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Matcher {
    /// The whole text, with the placeholders `{id}`, `{time}`, `{number}` and `{any}`.
    Exact(String),
    Contains(String),
    /// A regular expression.
    Matches(String),
    /// Any text.
    Any(bool),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The placeholders and their regular expressions.
pub(crate) const PLACEHOLDERS: [(&str, &str); 4] = [
    ("{id}", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"),
    ("{time}", r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?"),
    ("{number}", r"-?\d+(\.\d+)?"),
    ("{any}", r"(?s:.*?)"),
];

impl Line {
    /// Takes the text of a newer line for the same message, after an edit.
    pub(crate) fn replace_text(&mut self, other: Line) {
        match (self, other) {
            (Line::Say(mine), Line::Say(other)) => mine.say = other.say,
            (Line::Expect(mine), Line::Expect(other)) => mine.expect = other.expect,
            _ => {}
        }
    }
}

/// The line for a message: a user's message or an expected answer. `None` for messages of the server itself.
pub(crate) fn line_of(message: &Message, room: &str, pause: u64) -> Option<Line> {
    let room = Some(room.to_owned());
    match message.sender_kind() {
        "user" => Some(Line::Say(Say {
            say: message.content.clone(),
            who: Some(message.sender_username.clone()),
            room,
            after_ms: pause,
        })),
        "agent" => Some(Line::Expect(Expect {
            expect: Matcher::Exact(generalised(&message.content)),
            from: Some(message.sender_username.clone()),
            room,
            within_ms: None,
        })),
        _ => None,
    }
}

/// Replaces ids and times by placeholders.
fn generalised(text: &str) -> String {
    let mut text = text.to_owned();
    for (name, pattern) in PLACEHOLDERS.iter().take(2) {
        if let Ok(pattern) = regex_lite::Regex::new(&format!(r"\b{pattern}\b")) {
            text = pattern.replace_all(&text, *name).into_owned();
        }
    }
    text
}

pub(crate) fn text_of<'l>(lines: impl Iterator<Item = &'l Line>) -> String {
    // Lines have only text and numbers, so `to_string` never fails.
    lines.filter_map(|line| serde_json::to_string(line).ok()).map(|line| line + "\n").collect()
}

impl Matcher {
    /// Why a text does not match. `None` if it matches.
    pub(crate) fn refuse(&self, text: &str) -> Result<Option<String>, String> {
        Ok(match self {
            Matcher::Any(_) => None,
            Matcher::Contains(part) => (!text.contains(part)).then(|| format!("should contain {part:?}")),
            Matcher::Matches(pattern) => {
                let found = expression(pattern)?.is_match(text);
                (!found).then(|| format!("should match {pattern:?}"))
            }
            Matcher::Exact(wanted) => {
                let pattern = with_placeholders(wanted);
                let fits = wanted == text || expression(&pattern)?.is_match(text);
                (!fits).then(|| difference(wanted, text))
            }
        })
    }
}

fn expression(pattern: &str) -> Result<regex_lite::Regex, String> {
    regex_lite::Regex::new(pattern).map_err(|error| format!("{pattern:?} is no regular expression: {error}"))
}

fn with_placeholders(wanted: &str) -> String {
    let mut pattern = regex_lite::escape(wanted);
    for (name, stands_for) in PLACEHOLDERS {
        pattern = pattern.replace(&regex_lite::escape(name), stands_for);
    }
    format!("^{pattern}$")
}

/// Both texts, with a mark at the first difference.
fn difference(wanted: &str, got: &str) -> String {
    let same = wanted.chars().zip(got.chars()).take_while(|(one, other)| one == other).count();
    let from = same.saturating_sub(30);
    let part = |text: &str| -> String {
        let cut: String = text.chars().skip(from).take(70).collect();
        let before = if from > 0 { "…" } else { "" };
        let after = if text.chars().count() > from + 70 { "…" } else { "" };
        format!("{before}{}{after}", cut.escape_debug())
    };
    let shown: String = wanted.chars().skip(from).take(same - from).collect();
    let mark = shown.escape_debug().count() + usize::from(from > 0);
    format!(
        "  expected  {}\n  got       {}\n            {}^ from here on",
        part(wanted),
        part(got),
        " ".repeat(mark)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_in_four_ways() {
        let fits = |json: &str, text: &str| {
            let Ok(matcher) = serde_json::from_str::<Matcher>(json) else { panic!("{json}") };
            matcher.refuse(text).unwrap().is_none()
        };
        assert!(fits(r#"{"exact":"Hi (alice)"}"#, "Hi (alice)") && !fits(r#"{"exact":"Hi"}"#, "Hi!"));
        assert!(fits(
            r#"{"exact":"at {time}, no. {number}: {id}"}"#,
            "at 2026-03-05T10:00:00.000Z, no. -3.5: 0b9c1e0a-5f0e-4a57-9b6e-0f8f1a2b3c4d"
        ));
        assert!(fits(r#"{"contains":"lic"}"#, "alice") && fits(r#"{"matches":"^a.*e$"}"#, "alice"));
        assert!(fits(r#"{"any":true}"#, "") && !fits(r#"{"matches":"x"}"#, "alice"));
    }

    #[test]
    fn a_difference_is_marked() {
        let shown = difference("Hello alice", "Hello Alice");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[2].find('^'), lines[0].find("alice"));
    }
}
