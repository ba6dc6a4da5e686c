//! An outgoing message.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use serde_json::{Map, Value};

use serde::Serialize;

use crate::agent::memory::IN_REPLY_TO;
use crate::agent::send::metadata::JsonObject;
use crate::agent::send::split::{self, TextPart};
use crate::blank::check_text;
use crate::error::{Error, Result};
use crate::model::{AgencyId, LoopGuard, Message, MessageId, MessageType, Span, Style, TraceReport, label};

/// The metadata key by which [`Agent::post`](crate::Agent::post) recognises its message.
pub(crate) const POST_ID: &str = "post_id";

/// The metadata keys that every part of a long message has. Without the loop guard, two bots might answer each other
/// forever. Each part of a log must have the log flag.
pub(crate) const ON_EVERY_PART: [&str; 2] = [LOOP_GUARD, "agent_log"];

/// The metadata key of the [`LoopGuard`].
const LOOP_GUARD: &str = "loop_guard";

/// The metadata of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Answering {
    /// The message's own guard, one hop further.
    pub(crate) guard: LoopGuard,
    /// The id of the message that this message answers.
    pub(crate) to: MessageId,
}

impl Answering {
    pub(crate) fn of(message: &Message) -> Self {
        let guard = message.loop_guard().map_or_else(LoopGuard::first, |guard| guard.next());
        Answering { guard, to: message.id.clone() }
    }
}

/// Metadata that contains only a loop guard.
pub(crate) fn only_guard(guard: Option<&LoopGuard>) -> Option<JsonObject> {
    let guard = guard?;
    let mut metadata = JsonObject::default();
    metadata.set(LOOP_GUARD, guard);
    Some(metadata)
}

/// A message to send: a text, and optionally a type and metadata. A plain text converts automatically, so
/// `agent.send("hello")` is enough.
///
/// ```
/// use crustocean::{Outgoing, model::MessageType};
///
/// let message = Outgoing::new("ETH is at 3000").kind(MessageType::ToolResult).skill("prices").with("mood", "good");
/// # let _ = message;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a message does nothing until it is sent"]
pub struct Outgoing {
    content: String,
    kind: Option<MessageType>,
    metadata: JsonObject,
    /// The spans, which are in the metadata, too.
    spans: Vec<Span>,
}

impl Outgoing {
    /// A chat message. The crate trims white space around the text when it sends the text, like the platform's own
    /// clients.
    ///
    /// The platform never runs the text as a command of the agent: an answer that begins with a slash starts with `… `
    /// in the room, and sending any other such message fails with [`Invalid`](crate::ErrorKind::Invalid). In a direct
    /// message a slash has no meaning. [`Room::command`](crate::Room::command) runs commands.
    ///
    /// ```
    /// let message = crustocean::Outgoing::new("hello");
    /// # let _ = message;
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        Outgoing { content: text.into(), kind: None, metadata: JsonObject::default(), spans: Vec::new() }
    }

    /// A message of pieces, each with its own colour. The joined pieces are the text.
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

    /// Sets the type: `chat`, `tool_result` or `action`. By default the crate sends no type, and the server uses
    /// `chat`.
    ///
    /// ```
    /// use crustocean::model::MessageType;
    ///
    /// let message = crustocean::Outgoing::new("3000").kind(MessageType::ToolResult);
    /// # let _ = message;
    /// ```
    pub fn kind(mut self, kind: MessageType) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Adds one key to the metadata. The new value replaces an earlier value of the same key.
    ///
    /// ```
    /// let message = crustocean::Outgoing::new("hello").with("mood", "good").with("lucky_number", 7);
    /// # let _ = message;
    /// ```
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.set(key, &value.into());
        self
    }

    /// Adds all keys of `metadata`.
    ///
    /// ```
    /// let serde_json::Value::Object(metadata) = serde_json::json!({"mood": "good"}) else { return };
    /// let message = crustocean::Outgoing::new("hello").metadata(metadata);
    /// # let _ = message;
    /// ```
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Self {
        for (key, value) in metadata {
            self.metadata.set(key, &value);
        }
        self
    }

    /// Adds the steps that led to this message, as a collapsible list, and their total duration. Takes a
    /// [`Trace`](crate::agent::Trace) or a list of steps.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let trace = room.trace();
    /// let answer = trace.step("think", || "42");
    /// room.send(crustocean::Outgoing::new(answer).trace(trace))?;
    /// # Ok(()) }
    /// ```
    pub fn trace(mut self, trace: impl Into<TraceReport>) -> Self {
        let TraceReport { steps, duration } = trace.into();
        self.metadata.set("trace", &steps);
        match duration {
            Some(duration) => self.duration(duration),
            None => self,
        }
    }

    /// Shows how long the work took, in whole milliseconds.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let message = crustocean::Outgoing::new("42").duration(Duration::from_millis(350));
    /// # let _ = message;
    /// ```
    pub fn duration(self, duration: Duration) -> Self {
        self.with("duration", label::write(duration))
    }

    /// Shows a skill's name as a badge.
    ///
    /// ```
    /// let message = crustocean::Outgoing::new("ETH is at 3000").skill("prices");
    /// # let _ = message;
    /// ```
    pub fn skill(self, name: impl Into<String>) -> Self {
        self.with("skill", name.into())
    }

    /// Sets the colours.
    pub fn style(mut self, style: Style) -> Self {
        self.metadata.set("style", &style);
        self
    }

    /// Sets pieces with their own colours. The joined pieces must equal the text, otherwise sending fails with
    /// [`Invalid`](crate::ErrorKind::Invalid). If the text is empty, the joined pieces become the text.
    ///
    /// ```
    /// use crustocean::{Outgoing, model::{Color, Span}};
    ///
    /// let spans = [Span::new("build "), Span::colored("failed", Color::ThemeError)];
    /// let message = Outgoing::new("build failed").spans(spans);
    /// # let _ = message;
    /// ```
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

    /// Marks the message as a log of the agent's reasoning. Other agents do not pass such a message to their language
    /// models.
    ///
    /// ```
    /// let message = crustocean::Outgoing::new("I will search first").agent_log();
    /// # let _ = message;
    /// ```
    pub fn agent_log(self) -> Self {
        self.with("agent_log", true)
    }

    /// Adds the loop guard of the answered message, one hop further, unless a guard was set before.
    /// [`Agent::reply`](crate::Agent::reply) and a [`Run`](crate::run::Run) do this by themselves. Use this method for
    /// other answers, such as a confirmed [`post`](crate::Room::post).
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room, msg: &crustocean::Message) -> crustocean::Result<()> {
    /// let posted = room.post(crustocean::Outgoing::new("42").in_reply_to(msg))?;
    /// # let _ = posted;
    /// # Ok(()) }
    /// ```
    #[doc(alias = "createLoopGuardMetadata")]
    pub fn in_reply_to(self, message: &Message) -> Self {
        self.answering(Some(&Answering::of(message)))
    }

    /// Adds the answer's loop guard and the id of the answered message, unless they were set before.
    pub(crate) fn answering(mut self, answering: Option<&Answering>) -> Self {
        let Some(Answering { guard, to }) = answering else { return self };
        if !self.metadata.contains(LOOP_GUARD) {
            self.metadata.set(LOOP_GUARD, guard);
        }
        if !self.metadata.contains(IN_REPLY_TO) {
            self.metadata.set(IN_REPLY_TO, to);
        }
        self
    }

    /// The message to send in the place of this message, so that the platform does not run the text as a command of the
    /// agent. An answer whose text is a command gets `… ` before the text, because answers often quote other people.
    ///
    /// # Errors
    /// `Invalid` if the text is a command and the message is no answer.
    pub(crate) fn as_text(&self) -> Result<Cow<'_, Outgoing>> {
        if !split::is_command(self.text()) {
            return Ok(Cow::Borrowed(self));
        }
        if !self.metadata.contains(IN_REPLY_TO) {
            return Err(Error::invalid(
                "the message begins with a slash, so the platform would run it as a command of the agent: use \
                 room.command(..) to run it, or put a word before the slash to show it",
            ));
        }
        let mut message = self.clone();
        message.content = [split::NO_COMMAND, self.text()].concat();
        if !self.spans.is_empty() {
            let first = std::iter::once(Span::new(split::NO_COMMAND));
            message.set_spans(first.chain(self.spans.iter().cloned()).collect());
        }
        Ok(Cow::Owned(message))
    }

    /// The text, type and metadata, for the answer of a webhook.
    pub(crate) fn into_parts(self) -> (String, Option<MessageType>, JsonObject) {
        (self.content, self.kind, self.metadata)
    }

    /// The text as it is sent.
    pub(crate) fn text(&self) -> &str {
        self.content.trim()
    }

    /// Splits the message into messages of at most `limit` characters. All messages have the metadata keys that other
    /// clients act on. Only the first message has the other metadata.
    ///
    /// # Errors
    /// `Invalid` if the joined spans are not the text.
    pub(crate) fn split(&self, limit: usize) -> Result<Vec<Outgoing>> {
        self.check_spans()?;
        let text = self.text();
        let mut messages: Vec<Outgoing> = Vec::new();
        for TextPart { range, prefix, suffix } in split::split(text, limit) {
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

    /// Checks the message before the crate does anything else for it, so that the caller does not wait for a connection
    /// to get this error.
    ///
    /// # Errors
    /// `Invalid` if the message has no text, or if the joined spans are not the text.
    pub(crate) fn check(&self) -> Result<()> {
        check_text(self.text())?;
        self.check_spans()
    }

    fn check_spans(&self) -> Result<()> {
        if self.spans.is_empty() || joined(&self.spans) == self.text() {
            return Ok(());
        }
        Err(Error::invalid("the spans of a message, joined, are its text: these are something else"))
    }

    pub(crate) fn extras(&self) -> &JsonObject {
        &self.metadata
    }

    /// The payload of `send-message`.
    ///
    /// # Errors
    /// `Invalid` if the message has no text, or if the joined spans are not the text.
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
    spans.iter().map(|span| span.text.as_str()).collect()
}

/// Adds the parts of the spans that lie within a range of the joined text.
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

/// Trims the spans in the same way as the text.
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

/// The payload of `send-message`, as the platform's JavaScript SDK sends it. Unset fields are omitted.
#[derive(Debug, Serialize)]
pub(crate) struct SendMessage<'a> {
    #[serde(rename = "agencyId")]
    agency_id: &'a AgencyId,
    content: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a MessageType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a JsonObject>,
}

/// The payload of `send-message` with a slash command.
#[derive(Debug, Serialize)]
pub(crate) struct SendCommand<'a> {
    #[serde(rename = "agencyId")]
    pub(crate) agency_id: &'a AgencyId,
    pub(crate) content: &'a str,
    pub(crate) silent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<JsonObject>,
}

/// The payload of `edit-message`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EditMessage<'a> {
    pub(crate) agency_id: &'a AgencyId,
    pub(crate) message_id: &'a MessageId,
    pub(crate) content: &'a str,
}

/// The payload of `join-agency`.
#[derive(Debug, Serialize)]
pub(crate) struct JoinAgency<'a> {
    #[serde(rename = "agencyId")]
    pub(crate) agency_id: &'a AgencyId,
}

#[cfg(test)]
mod tests;
