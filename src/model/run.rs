//! Agent runs, as the API keeps them.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{List, RunId, Timestamp, answer, serde_helpers};

/// A run of an agent, as a list shows it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct RunInfo {
    /// The run's id.
    #[serde(rename(deserialize = "id|runId"))]
    pub id: RunId,
    /// Whose run it is: a username.
    #[serde(rename(serialize = "agent_username", deserialize = "agent_username|agent"), default)]
    pub agent: String,
    /// How far it is, in the server's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How long it took, in the server's words (`1.5s`, or a number).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// What came of it, where the server says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What went wrong, if anything did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

lenient!(RunInfo);

open_enum! {
    /// What somebody who interrupts a run asks for.
    pub enum InterruptAction {
        /// Stop. It cannot be taken back.
        Stop = "stop",
        /// Go on, in another way.
        Adjust = "adjust",
    }
}

/// What is in the answer besides [`RunInfo`].
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct Transcript {
    /// The steps.
    #[serde(default)]
    pub transcript: List<TranscriptEntry>,
}

lenient!(read Transcript);

/// A run with all its steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunRecord {
    /// What a list shows of it.
    #[serde(flatten)]
    pub info: RunInfo,
    /// Its steps, in order.
    pub transcript: List<TranscriptEntry>,
}

/// One object has both.
impl<'de> Deserialize<'de> for RunRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_helpers::text_of(deserializer, |json| {
            let Transcript { transcript } = answer::read(json)?;
            Ok(RunRecord { info: answer::read(json)?, transcript })
        })
    }
}

/// One step of a run's transcript: [`step`](Self::step) for what is documented, [`get`](Self::get) for all else. Bots
/// may record steps of their own.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct TranscriptEntry(Value);

impl TranscriptEntry {
    /// What kind of step it is, in the API's words (`tool-call`). Empty if it does not say.
    pub fn kind(&self) -> &str {
        self.text("type").unwrap_or_default()
    }

    /// When it was, counted from the start of the run.
    pub fn at(&self) -> Option<Duration> {
        self.get("ts")?.as_f64().and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok())
    }

    /// The value of any field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// All of it, as it came.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// The step in the words of this crate; [`Other`](TranscriptStep::Other) if it does not know that kind. A field
    /// that is missing is empty.
    pub fn step(&self) -> TranscriptStep<'_> {
        let text = |key| self.text(key).unwrap_or_default();
        let value = |key| self.get(key).unwrap_or(&Value::Null);
        match self.kind() {
            "start" => TranscriptStep::Start { trigger_message_id: self.text("triggerMessageId") },
            "status" => TranscriptStep::Status { status: text("status") },
            "tool-call" => TranscriptStep::ToolCall {
                tool_call_id: text("toolCallId"),
                tool: text("tool"),
                input: value("input"),
            },
            "tool-result" => TranscriptStep::ToolResult {
                tool_call_id: text("toolCallId"),
                tool: text("tool"),
                output: value("output"),
                duration: self.text("duration"),
                status: text("status"),
            },
            "stream-start" => TranscriptStep::StreamStart { message_id: text("messageId") },
            "stream-end" => TranscriptStep::StreamEnd {
                message_id: text("messageId"),
                content_length: self.get("contentLength").and_then(Value::as_u64),
            },
            "permission-request" => TranscriptStep::PermissionRequest {
                permission_id: text("permissionId"),
                action: text("action"),
                description: text("description"),
            },
            "permission-response" => TranscriptStep::PermissionResponse {
                permission_id: text("permissionId"),
                decision: text("decision"),
                message: self.text("message"),
            },
            "interrupt" => {
                TranscriptStep::Interrupt { action: text("action"), message: self.text("message") }
            }
            "complete" => TranscriptStep::Complete { summary: self.text("summary") },
            "error" => TranscriptStep::Error { message: text("message") },
            _ => TranscriptStep::Other,
        }
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.get(field)?.as_str()
    }
}

/// What happened in one step of a run: [`TranscriptEntry::step`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum TranscriptStep<'a> {
    /// The run began.
    #[non_exhaustive]
    Start {
        /// The message that set it off, if one did.
        trigger_message_id: Option<&'a str>,
    },
    /// The agent said what it was at.
    #[non_exhaustive]
    Status {
        /// In its words.
        status: &'a str,
    },
    /// A tool was called.
    #[non_exhaustive]
    ToolCall {
        /// Which call it is.
        tool_call_id: &'a str,
        /// The tool: `/price`.
        tool: &'a str,
        /// What it was given: usually text.
        input: &'a Value,
    },
    /// A tool answered.
    #[non_exhaustive]
    ToolResult {
        /// Which call it was.
        tool_call_id: &'a str,
        /// The tool.
        tool: &'a str,
        /// What it answered: usually text.
        output: &'a Value,
        /// How long it took: `85ms`.
        duration: Option<&'a str>,
        /// How it ended: `done`, `error`.
        status: &'a str,
    },
    /// A message began to be written.
    #[non_exhaustive]
    StreamStart {
        /// The message.
        message_id: &'a str,
    },
    /// A message was written.
    #[non_exhaustive]
    StreamEnd {
        /// The message.
        message_id: &'a str,
        /// How long it is.
        content_length: Option<u64>,
    },
    /// The agent asked for permission.
    #[non_exhaustive]
    PermissionRequest {
        /// Which request it is.
        permission_id: &'a str,
        /// What it wanted to do.
        action: &'a str,
        /// The same for people.
        description: &'a str,
    },
    /// Somebody decided.
    #[non_exhaustive]
    PermissionResponse {
        /// Which request it was.
        permission_id: &'a str,
        /// Only `approve` is a yes.
        decision: &'a str,
        /// Why; `timeout` if nobody decided in time.
        message: Option<&'a str>,
    },
    /// Somebody stepped in.
    #[non_exhaustive]
    Interrupt {
        /// What was wanted: `stop`, `adjust`.
        action: &'a str,
        /// What to do instead.
        message: Option<&'a str>,
    },
    /// The run ended well.
    #[non_exhaustive]
    Complete {
        /// What came of it.
        summary: Option<&'a str>,
    },
    /// The run failed.
    #[non_exhaustive]
    Error {
        /// Why.
        message: &'a str,
    },
    /// A kind that this version of the crate does not know: see [`TranscriptEntry::kind`].
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(json: &str) -> List<TranscriptEntry> {
        serde_json::from_str::<Transcript>(json).unwrap().transcript
    }

    #[test]
    fn documented_steps_are_typed_and_others_kept() {
        let transcript = entries(
            r#"{"transcript":[{"type":"start","triggerMessageId":null,"ts":0},
                {"type":"tool-result","toolCallId":"tc","tool":"/price","output":"ETH","duration":"85ms","status":"done","ts":912},
                {"type":"llm","model":"x","ts":1.5},"odd",{"type":"error","ts":-1}]}"#,
        );
        assert_eq!(transcript[0].step(), TranscriptStep::Start { trigger_message_id: None });
        assert_eq!(
            (transcript[0].at(), transcript[1].at()),
            (Some(Duration::ZERO), Some(Duration::from_millis(912)))
        );
        assert!(matches!(
            transcript[1].step(),
            TranscriptStep::ToolResult { tool: "/price", duration: Some("85ms"), .. }
        ));
        assert_eq!((transcript[2].kind(), transcript[2].step()), ("llm", TranscriptStep::Other));
        assert_eq!(transcript[2].get("model"), Some(&Value::from("x")));
        assert_eq!((transcript[3].kind(), transcript[3].as_value()), ("", &Value::from("odd")));
        assert_eq!((transcript[4].step(), transcript[4].at()), (TranscriptStep::Error { message: "" }, None));
    }

    #[test]
    fn a_transcript_may_be_text_or_absent() {
        assert_eq!(entries(r#"{"transcript":"[{\"type\":\"start\"}]"}"#).len(), 1);
        assert!(entries("{}").is_empty() && entries(r#"{"transcript":7}"#).is_empty());
    }
}
