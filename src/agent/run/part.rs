//! The parts of a run (streams and tool calls), and the events that show how a part ends.

use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::agent::send::metadata::JsonObject;
use crate::model::MessageId;

pub(super) const STREAM: &str = "agent-run-stream";
pub(super) const TOOL_RESULT: &str = "agent-run-tool-result";

/// The status of a tool call that has succeeded.
pub(super) const DONE: &str = "done";
/// The status of a tool call that has failed.
pub(super) const FAILED: &str = "error";

/// A stream or a tool call that has not ended.
#[derive(Debug)]
pub(super) enum OpenPart {
    Stream { id: MessageId, text: String },
    Tool { id: String, tool: String, started: Instant },
}

/// The open parts of a run. A run ends after its parts.
#[derive(Debug, Default)]
pub(super) struct OpenParts {
    parts: Vec<(PartNumber, OpenPart)>,
    next: u64,
}

/// Identifies an open part: the program may use the same id for two tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartNumber(u64);

impl OpenParts {
    pub(super) fn add(&mut self, part: OpenPart) -> PartNumber {
        let number = PartNumber(self.next);
        self.next += 1;
        self.parts.push((number, part));
        number
    }

    pub(super) fn get_mut(&mut self, number: PartNumber) -> Option<&mut OpenPart> {
        self.parts.iter_mut().find(|(other, _)| *other == number).map(|(_, part)| part)
    }

    /// Removes a part. Returns whether no open part is left.
    pub(super) fn remove(&mut self, number: PartNumber) -> bool {
        self.parts.retain(|(other, _)| *other != number);
        self.parts.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = OpenPart> + use<> {
        std::mem::take(&mut self.parts).into_iter().map(|(_, part)| part)
    }
}

/// The text of a stream so far.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StreamUpdate<'a> {
    pub(super) message_id: &'a MessageId,
    /// The text that the event adds. `None` if the event replaces the whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delta: Option<&'a str>,
    pub(super) content: &'a str,
    pub(super) done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<&'a JsonObject>,
}

/// The result of a tool call.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolResult<'a> {
    pub(super) tool_call_id: &'a str,
    pub(super) tool: &'a str,
    pub(super) output: &'a Value,
    pub(super) duration: &'a str,
    pub(super) status: &'a str,
}
