//! What an agent says.

use std::ops::Range;
use std::time::Duration;

use serde_json::{Map, Value};

use serde::Serialize;

use crate::agent::send::metadata::Extras;
use crate::agent::send::split::{self, Part};
use crate::error::{Error, Result};
use crate::model::{AgencyId, LoopGuard, Message, MessageType, Span, Style, TraceReport, label};

/// The metadata key that [`Agent::post`](crate::Agent::post) knows its message by.
pub(crate) const POST_MARK: &str = "post_id";

/// Without the guard two bots might answer each other for ever; and a piece of a log is a log.
pub(crate) const ON_EVERY_PART: [&str; 2] = [LOOP_GUARD, "agent_log"];

/// The metadata key of the [`LoopGuard`].
const LOOP_GUARD: &str = "loop_guard";

/// The loop guard of an answer to this message: one hop further than the message's own.
pub(crate) fn guard_of_answer(message: &Message) -> LoopGuard {
    message.loop_guard().map_or_else(LoopGuard::first, |guard| guard.next())
}

/// Metadata with nothing but a loop guard.
pub(crate) fn only_guard(guard: Option<&LoopGuard>) -> Option<Extras> {
    let guard = guard?;
    let mut metadata = Extras::default();
    metadata.set(LOOP_GUARD, guard);
    Some(metadata)
}

/// A message to send: text, and if wanted a type and metadata. Plain text converts by itself, so
/// `agent.send("hello")` is enough.
///
/// ```
/// use crustocean::{Outgoing, model::MessageType};
///
/// let message = Outgoing::new("ETH is at 3000").kind(MessageType::ToolResult).skill("prices").with("mood", "good");
/// # let _ = message;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a message says nothing until it is sent"]
pub struct Outgoing {
    content: String,
    kind: Option<MessageType>,
    metadata: Extras,
    /// What is in the metadata, too.
    spans: Vec<Span>,
}

impl Outgoing {
    /// A chat message. White space around the text is trimmed when it is sent, as the platform's own clients do.
    pub fn new(text: impl Into<String>) -> Self {
        Outgoing { content: text.into(), kind: None, metadata: Extras::default(), spans: Vec::new() }
    }

    /// A message of pieces with colours of their own; joined they are its text.
    ///
    /// ```
    /// use crustocean::{Outgoing, model::{Color, Span}};
    ///
    /// let message = Outgoing::from_spans([Span::new("build "), Span::colored("failed", Color::ThemeError)]);
    /// # let _ = message;
    /// ```
    pub fn from_spans(spans: impl IntoIterator<Item = impl Into<Span>>) -> Self {
        Outgoing::new("").spans(spans)
    }

    /// The type: `chat`, `tool_result` or `action`. Defaults to leaving it to the server, which makes it `chat`.
    pub fn kind(mut self, kind: MessageType) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Adds one key to the metadata. A later value for the same key replaces the earlier one.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.set(key, &value.into());
        self
    }

    /// Adds all keys of `metadata`.
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Self {
        for (key, value) in metadata {
            self.metadata.set(key, &value);
        }
        self
    }

    /// Shows the steps that led to it, as a collapsible list, and how long they took: a [`Trace`](crate::agent::Trace), or
    /// steps of one's own.
    pub fn trace(mut self, trace: impl Into<TraceReport>) -> Self {
        let TraceReport { steps, duration } = trace.into();
        self.metadata.set("trace", &steps);
        match duration {
            Some(duration) => self.duration(duration),
            None => self,
        }
    }

    /// Shows how long it took. Whole milliseconds are written.
    pub fn duration(self, duration: Duration) -> Self {
        self.with("duration", label::write(duration))
    }

    /// Wears a skill's name as a badge.
    pub fn skill(self, name: impl Into<String>) -> Self {
        self.with("skill", name.into())
    }

    /// Has colours.
    pub fn style(mut self, style: Style) -> Self {
        self.metadata.set("style", &style);
        self
    }

    /// Has pieces with colours of their own. Joined they are the text: it cannot be sent if its text is something else.
    /// Without a text it gets that one.
    pub fn spans(mut self, spans: impl IntoIterator<Item = impl Into<Span>>) -> Self {
        self.set_spans(spans.into_iter().map(Into::into).collect());
        self
    }

    fn set_spans(&mut self, spans: Vec<Span>) {
        let spans = trimmed(spans);
        if self.text() == joined(&self.spans) {
            self.content = joined(&spans);
        }
        self.metadata.set("content_spans", &spans);
        self.spans = spans;
    }

    /// Is a log of the agent's reasoning: other agents do not put it before their language models.
    pub fn agent_log(self) -> Self {
        self.with("agent_log", true)
    }

    /// Carries the loop guard of the message that it answers on, one hop further, unless one was set by hand.
    /// [`Agent::reply`](crate::Agent::reply) and a [`Run`](crate::run::Run) do so by themselves: this is for answers that go
    /// another way, such as a confirmed [`post`](crate::Room::post).
    #[doc(alias = "createLoopGuardMetadata")]
    pub fn in_reply_to(self, message: &Message) -> Self {
        self.guarded(Some(&guard_of_answer(message)))
    }

    /// Carries this loop guard, unless one was set by hand.
    pub(crate) fn guarded(mut self, guard: Option<&LoopGuard>) -> Self {
        if let Some(guard) = guard
            && !self.metadata.contains(LOOP_GUARD)
        {
            self.metadata.set(LOOP_GUARD, guard);
        }
        self
    }

    /// Carries a mark by which it is known again in the room.
    pub(crate) fn marked(mut self, mark: &str) -> Self {
        self.metadata.set(POST_MARK, &mark);
        self
    }

    /// Text, type and metadata, for an answer that is not sent but given.
    pub(crate) fn into_parts(self) -> (String, Option<MessageType>, Extras) {
        (self.content, self.kind, self.metadata)
    }

    /// The text as it is sent.
    pub(crate) fn text(&self) -> &str {
        self.content.trim()
    }

    /// The messages that it goes out as if one may have so many characters. What the others in the room go by is on
    /// all of them, the rest of the metadata on the first.
    ///
    /// # Errors
    /// `Invalid` when the spans are not the text.
    pub(crate) fn split(&self, limit: usize) -> Result<Vec<Outgoing>> {
        self.check_spans()?;
        let text = self.text();
        let mut messages: Vec<Outgoing> = Vec::new();
        for Part { range, prefix, suffix } in split::split(text, limit) {
            let piece = text.get(range.clone()).unwrap_or_default();
            let mut message = Outgoing::new([prefix.as_str(), piece, &suffix].concat());
            message.kind.clone_from(&self.kind);
            message.metadata = match messages.is_empty() {
                true => self.metadata.clone(),
                false => self.metadata.only(&ON_EVERY_PART),
            };
            if !self.spans.is_empty() {
                let mut spans = vec![Span::new(prefix)];
                slice(&self.spans, range, &mut spans);
                spans.push(Span::new(suffix));
                message.set_spans(spans);
            }
            messages.push(message);
        }
        Ok(messages)
    }

    /// Before anything is done for it: nobody waits for a connection to be told of this.
    ///
    /// # Errors
    /// `Invalid` when there is nothing to say.
    pub(crate) fn check(&self) -> Result<()> {
        if self.text().is_empty() {
            return Err(Error::invalid("the message has no text: what is white space alone is not sent"));
        }
        self.check_spans()
    }

    fn check_spans(&self) -> Result<()> {
        if self.spans.is_empty() || joined(&self.spans) == self.text() {
            return Ok(());
        }
        Err(Error::invalid("the spans of a message, joined, are its text: these are something else"))
    }

    pub(crate) fn extras(&self) -> &Extras {
        &self.metadata
    }

    /// The payload of `send-message`.
    ///
    /// # Errors
    /// `Invalid` when there is no text.
    pub(crate) fn payload<'a>(&'a self, agency: &'a AgencyId) -> Result<SendMessage<'a>> {
        self.check()?;
        Ok(SendMessage {
            agency_id: agency,
            content: self.text(),
            kind: self.kind.as_ref(),
            metadata: (!self.metadata.is_empty()).then_some(&self.metadata),
        })
    }
}

fn joined(spans: &[Span]) -> String {
    let mut text = String::new();
    for span in spans {
        text.push_str(&span.text);
    }
    text
}

/// Adds what of the spans lies within a range of the joined text.
fn slice(spans: &[Span], range: Range<usize>, within: &mut Vec<Span>) {
    let mut start = 0;
    for span in spans {
        let (from, to) = (range.start.max(start), range.end.min(start + span.text.len()));
        if from < to
            && let Some(text) = span.text.get(from - start..to - start)
        {
            let mut piece = Span::new(text);
            piece.color.clone_from(&span.color);
            within.push(piece);
        }
        start += span.text.len();
    }
}

/// As the text is trimmed when it is sent.
fn trimmed(spans: Vec<Span>) -> Vec<Span> {
    let mut kept: Vec<Span> = Vec::new();
    for mut span in spans {
        if kept.is_empty() {
            span.text = span.text.trim_start().to_owned();
        }
        if !span.text.is_empty() {
            kept.push(span);
        }
    }
    while let Some(last) = kept.last_mut() {
        last.text.truncate(last.text.trim_end().len());
        if !last.text.is_empty() {
            break;
        }
        kept.pop();
    }
    kept
}

impl From<&str> for Outgoing {
    fn from(text: &str) -> Self {
        Outgoing::new(text)
    }
}

impl From<String> for Outgoing {
    fn from(text: String) -> Self {
        Outgoing::new(text)
    }
}

impl From<&String> for Outgoing {
    fn from(text: &String) -> Self {
        Outgoing::new(text.as_str())
    }
}

/// `send-message`, as the platform's JavaScript SDK sends it: what is not set is left out.
#[derive(Debug, Serialize)]
pub(crate) struct SendMessage<'a> {
    #[serde(rename = "agencyId")]
    agency_id: &'a AgencyId,
    content: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a MessageType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Extras>,
}

/// `send-message` with a slash command in it.
#[derive(Debug, Serialize)]
pub(crate) struct SendCommand<'a> {
    #[serde(rename = "agencyId")]
    pub(crate) agency_id: &'a AgencyId,
    pub(crate) content: &'a str,
    pub(crate) silent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Extras>,
}

/// `edit-message`.
#[derive(Debug, Serialize)]
pub(crate) struct EditMessage<'a> {
    #[serde(rename = "agencyId")]
    pub(crate) agency_id: &'a AgencyId,
    #[serde(rename = "messageId")]
    pub(crate) message_id: &'a crate::model::MessageId,
    pub(crate) content: &'a str,
}

/// `join-agency`.
#[derive(Debug, Serialize)]
pub(crate) struct JoinAgency<'a> {
    #[serde(rename = "agencyId")]
    pub(crate) agency_id: &'a AgencyId,
}

#[cfg(test)]
mod tests;
