//! The tools that a run uses, as the room sees them.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::agent::Command;
use crate::agent::run::transcript::{Step, clip_value};
use crate::agent::run::{Run, new_uuid};
use crate::error::Result;
use crate::model::CommandReply;

const DONE: &str = "done";
const FAILED: &str = "error";

#[derive(Serialize)]
struct Call<'a> {
    #[serde(rename = "toolCallId")]
    tool_call_id: &'a str,
    tool: &'a str,
    input: &'a Value,
    status: &'a str,
}

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(rename = "toolCallId")]
    tool_call_id: &'a str,
    tool: &'a str,
    output: &'a Value,
    duration: &'a str,
    status: &'a str,
}

/// How a slash command ended that a run used as a tool.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ToolOutcome {
    /// Whether it did what it should.
    pub ok: bool,
    /// What it said, or why it did not.
    pub output: String,
    /// How long it took.
    pub duration: Duration,
    /// The server's answer, if there was one.
    pub reply: Option<CommandReply>,
}

impl Run {
    /// Runs a slash command as a tool, silently: the room sees a tool call and its result. The tool is the text up to
    /// the first white space, its input the rest.
    ///
    /// That it fails, or is not answered in time, is an outcome that is not [`ok`](ToolOutcome::ok).
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if it is no command; as [`Room::send`](crate::Room::send) when the room cannot be told.
    #[doc(alias = "toolCall")]
    pub fn command(&self, command: impl AsRef<str>) -> Result<ToolOutcome> {
        self.execute(&self.room().command(command.as_ref()))
    }

    /// As [`command`](Run::command), with settings of one's own: `run.execute(&room.command("/slow").timeout(limit))`.
    ///
    /// # Errors
    /// As [`command`](Run::command).
    pub fn execute(&self, command: &Command<'_>) -> Result<ToolOutcome> {
        self.core.check_open()?;
        let command = command.clone().guarded(self.room().guard());
        let text = command.checked_text()?;
        let (tool, input) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let call = self.tool(tool, input.trim_start())?;
        let reply = command.send();
        let duration = call.started.elapsed();
        let (ok, output, reply) = match reply {
            Ok(reply) => (reply.ok, reply.content.clone(), Some(reply)),
            Err(error) => (false, error.to_string(), None),
        };
        if ok {
            call.done(&*output)?
        } else {
            call.failed(&*output)?
        }
        Ok(ToolOutcome { ok, output, duration, reply })
    }

    /// Shows that a tool is being used. [`done`](ToolCall::done) or [`failed`](ToolCall::failed) shows how it ended;
    /// dropped without either it has failed.
    ///
    /// # Errors
    /// As [`Room::send`](crate::Room::send). The transcript has it in any case.
    pub fn tool(&self, tool: impl AsRef<str>, input: impl Into<Value>) -> Result<ToolCall> {
        self.tool_with_id(new_uuid(), tool, input)
    }

    /// As [`tool`](Run::tool), under the id that a language model has given the call.
    ///
    /// # Errors
    /// As [`tool`](Run::tool).
    pub fn tool_with_id(
        &self,
        id: impl Into<String>,
        tool: impl AsRef<str>,
        input: impl Into<Value>,
    ) -> Result<ToolCall> {
        let (call, shown) = self.begin_tool(id.into(), tool.as_ref(), input.into())?;
        shown.map(|()| call)
    }

    /// Also if the room cannot be told.
    /// The tool, and whether the room sees it.
    ///
    /// # Errors
    /// When the run has ended.
    fn begin_tool(&self, id: String, tool: &str, input: Value) -> Result<(ToolCall, Result<()>)> {
        self.core.begin_part()?;
        let input = &clip_value(input);
        let call =
            ToolCall { run: self.clone(), id, tool: tool.to_owned(), started: Instant::now(), over: false };
        let (tool_call_id, tool) = (&*call.id, &*call.tool);
        self.note(&Step::ToolCall { tool_call_id, tool, input });
        let shown = Call { tool_call_id, tool, input, status: "running" };
        let shown = self.core.report_for_sure("agent-run-tool-call", &shown);
        Ok((call, shown))
    }

    /// Shows that a tool is being used while `step` runs, and what came of it. The value of `step` is returned as it
    /// is. That the room cannot be told of it is not said here, but by the next report.
    ///
    /// # Errors
    /// That of `step`.
    pub fn tool_step<T: Serialize, E: fmt::Display>(
        &self,
        tool: impl AsRef<str>,
        input: impl Into<Value>,
        step: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let begun = self.begin_tool(new_uuid(), tool.as_ref(), input.into());
        let outcome = step();
        let told = begun.and_then(|(call, shown)| {
            shown.and(match &outcome {
                Ok(value) => call.done(serde_json::to_value(value).unwrap_or_default()),
                Err(error) => call.failed(error.to_string()),
            })
        });
        if let Err(error) = told {
            crate::logging::info!("the room does not see a tool: {error}");
        }
        outcome
    }
}

/// A tool at work. From [`Run::tool`].
#[must_use = "dropped, the tool has failed: call done() or failed()"]
pub struct ToolCall {
    run: Run,
    id: String,
    tool: String,
    started: Instant,
    over: bool,
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCall").field("id", &self.id).field("tool", &self.tool).finish_non_exhaustive()
    }
}

impl ToolCall {
    /// The id of the call.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The tool did its work.
    ///
    /// # Errors
    /// As [`Room::send`](crate::Room::send). The transcript has it in any case.
    pub fn done(mut self, output: impl Into<Value>) -> Result<()> {
        self.end(output.into(), DONE, |run, outcome| run.core.report_for_sure(RESULT, &outcome))
    }

    /// The tool did not do its work.
    ///
    /// # Errors
    /// As [`done`](ToolCall::done).
    pub fn failed(mut self, output: impl Into<Value>) -> Result<()> {
        self.end(output.into(), FAILED, |run, outcome| run.core.report_for_sure(RESULT, &outcome))
    }

    fn end<R>(&mut self, output: Value, status: &str, send: impl FnOnce(&Run, Outcome<'_>) -> R) -> R {
        self.over = true;
        let duration = &format!("{}ms", self.started.elapsed().as_millis());
        let (tool_call_id, tool, output) = (&*self.id, &*self.tool, &clip_value(output));
        self.run.note(&Step::ToolResult { tool_call_id, tool, output, duration, status });
        let sent = send(&self.run, Outcome { tool_call_id, tool, output, duration, status });
        self.run.core.part_ended();
        sent
    }
}

const RESULT: &str = "agent-run-tool-result";

impl Drop for ToolCall {
    fn drop(&mut self) {
        if !self.over {
            let why = if std::thread::panicking() { "the agent panicked" } else { "given up" };
            let told = self.end(why.into(), FAILED, |run, outcome| run.core.try_deliver(RESULT, &outcome));
            if let Err(error) = told {
                crate::logging::info!("the result of tool {} is not sent: {error}", self.id);
            }
        }
    }
}
