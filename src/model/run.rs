//! Agent runs, as the API stores them.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{List, RunId, Timestamp, answer, serde_helpers};

/// A run of an agent, as an element of a list.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct RunInfo {
    /// The run's id.
    #[serde(rename(deserialize = "id|runId"))]
    pub id: RunId,
    /// The agent's username.
    #[serde(rename(serialize = "agent_username", deserialize = "agent_username|agent"), default)]
    pub agent: String,
    /// The status, as the server wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The start time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// The duration, as the server wrote it (`1.5s`, or a number).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The result, if the server sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The error, if the run failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

lenient!(RunInfo);

open_enum! {
    /// The action that a user requests when interrupting a run.
    pub enum InterruptAction {
        /// The agent should stop. A stop is final.
        Stop = "stop",
        /// The agent should continue in another way.
        Adjust = "adjust",
    }
}

/// The part of the response that is not in [`RunInfo`].
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
    /// The information that lists contain.
    #[serde(flatten)]
    pub info: RunInfo,
    /// The steps, in order.
    pub transcript: List<TranscriptEntry>,
}

/// Both parts are in one JSON object.
impl<'de> Deserialize<'de> for RunRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_helpers::text_of(deserializer, |json| {
            let Transcript { transcript } = answer::read(json)?;
            Ok(RunRecord { info: answer::read(json)?, transcript })
        })
    }
}

/// A step of a run's transcript. [`step`](Self::step) returns a documented step as a typed value. [`get`](Self::get)
/// returns any field. Bots may record steps of their own kinds.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct TranscriptEntry(Value);

impl TranscriptEntry {
    /// The kind of the step, as the API writes it (`tool-call`). Empty if there is none.
    pub fn kind(&self) -> &str {
        self.text("type").unwrap_or_default()
    }

    /// The time since the start of the run.
    pub fn at(&self) -> Option<Duration> {
        self.get("ts")?.as_f64().and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok())
    }

    /// The value of any field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// The whole step as JSON.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// The step as a typed value. [`Other`](TranscriptStep::Other) for unknown kinds. A missing field is empty.
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

/// A typed step of a run. Returned by [`TranscriptEntry::step`].
///
/// It serialises in the form of the API, without the fields that the step does not have. To store all fields,
/// serialise the [`TranscriptEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum TranscriptStep<'a> {
    /// The run started.
    #[non_exhaustive]
    Start {
        /// The message that triggered the run, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        trigger_message_id: Option<&'a str>,
    },
    /// The agent reported its status.
    #[non_exhaustive]
    Status {
        /// The status text.
        status: &'a str,
    },
    /// A tool was called.
    #[non_exhaustive]
    ToolCall {
        /// The id of the call.
        tool_call_id: &'a str,
        /// The name of the tool, such as `/price`.
        tool: &'a str,
        /// The input, usually a text.
        input: &'a Value,
    },
    /// A tool returned a result.
    #[non_exhaustive]
    ToolResult {
        /// The id of the call.
        tool_call_id: &'a str,
        /// The name of the tool.
        tool: &'a str,
        /// The output, usually a text.
        output: &'a Value,
        /// The duration, such as `85ms`.
        #[serde(skip_serializing_if = "Option::is_none")]
        duration: Option<&'a str>,
        /// The status: `done`, `error`.
        status: &'a str,
    },
    /// A streamed message started.
    #[non_exhaustive]
    StreamStart {
        /// The message.
        message_id: &'a str,
    },
    /// A streamed message ended.
    #[non_exhaustive]
    StreamEnd {
        /// The message.
        message_id: &'a str,
        /// The length of the text.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_length: Option<u64>,
    },
    /// The agent requested permission.
    #[non_exhaustive]
    PermissionRequest {
        /// The id of the request.
        permission_id: &'a str,
        /// The action that needs permission.
        action: &'a str,
        /// A description of the action for people.
        description: &'a str,
    },
    /// A user decided on a permission request.
    #[non_exhaustive]
    PermissionResponse {
        /// The id of the request.
        permission_id: &'a str,
        /// The decision. Only `approve` grants the permission.
        decision: &'a str,
        /// The reason; `timeout` if nobody decided in time.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
    },
    /// A user interrupted the run.
    #[non_exhaustive]
    Interrupt {
        /// The requested action: `stop`, `adjust`.
        action: &'a str,
        /// The user's instruction.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
    },
    /// The run completed.
    #[non_exhaustive]
    Complete {
        /// The summary.
        #[serde(skip_serializing_if = "Option::is_none")]
        summary: Option<&'a str>,
    },
    /// The run failed.
    #[non_exhaustive]
    Error {
        /// The cause.
        message: &'a str,
    },
    /// A kind that this version of the crate does not know; see [`TranscriptEntry::kind`].
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
    fn a_step_is_written_in_the_form_of_the_api() {
        for json in [
            r#"[{"type":"start"}]"#,
            r#"[{"type":"tool-call","toolCallId":"tc","tool":"/price","input":{"in":"EUR"}}]"#,
            r#"[{"type":"stream-end","messageId":"m","contentLength":7}]"#,
            r#"[{"type":"permission-response","permissionId":"p","decision":"approve","message":"go"}]"#,
            r#"[{"type":"other"}]"#,
        ] {
            let transcript = entries(&format!(r#"{{"transcript":{json}}}"#));
            let steps: Vec<_> = transcript.iter().map(TranscriptEntry::step).collect();
            assert_eq!(serde_json::to_string(&steps).unwrap(), json);
        }
    }

    #[test]
    fn a_transcript_may_be_text_or_absent() {
        assert_eq!(entries(r#"{"transcript":"[{\"type\":\"start\"}]"}"#).len(), 1);
        assert!(entries("{}").is_empty() && entries(r#"{"transcript":7}"#).is_empty());
    }
}
