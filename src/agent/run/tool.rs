//! The tool calls of a run.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::agent::Command;
use crate::agent::random::new_uuid;
use crate::agent::run::Run;
use crate::agent::run::part::{DONE, FAILED, OpenPart, PartNumber, TOOL_RESULT, ToolResult};
use crate::agent::run::transcript::{RecordedStep, clip_value};
use crate::error::{Error, Result};
use crate::model::CommandReply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolCallPayload<'a> {
    tool_call_id: &'a str,
    tool: &'a str,
    input: &'a Value,
    status: &'a str,
}

/// The result of a slash command that a run used as a tool.
///
/// ```no_run
/// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
/// let outcome = run.command("/roll 2d6")?;
/// println!("{} after {:?}: {}", outcome.ok, outcome.duration, outcome.output);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ToolOutcome {
    /// Whether the command succeeded.
    pub ok: bool,
    /// The output, or the error text.
    pub output: String,
    /// The duration.
    pub duration: Duration,
    /// The server's reply, if there was one.
    pub reply: Option<CommandReply>,
}

impl Run {
    /// Runs a slash command as a tool, silently: the room sees a tool call and its result. The tool's name is the
    /// text up to the first white space, its input is the rest.
    ///
    /// A command that fails or gets no reply in time is an outcome whose [`ok`](ToolOutcome::ok) is `false`.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// let price = run.command("/price ETH")?;
    /// println!("{}", price.output);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the text is not a command; the kinds of
    /// [`Room::send`](crate::Room::send) if the reports cannot be sent.
    #[doc(alias = "toolCall")]
    pub fn command(&self, command: impl AsRef<str>) -> Result<ToolOutcome> {
        self.execute(&Command::new(&self.core.room, command.as_ref().into()))
    }

    /// Like [`command`](Run::command), with the settings of a [`Command`].
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// let report = run.room().command("/report").timeout(Duration::from_secs(60));
    /// println!("{}", run.execute(&report)?.output);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`command`](Run::command).
    pub fn execute(&self, command: &Command<'_>) -> Result<ToolOutcome> {
        self.core.check_open()?;
        let command = command.clone().guarded(self.core.room.guard());
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

    /// Shows a tool call. [`done`](ToolCall::done) or [`failed`](ToolCall::failed) shows its result. If the call is
    /// dropped without either, the room sees it as failed.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// let tool = run.tool("web_search", "rust sdk")?;
    /// tool.done("12 results")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the run has ended; otherwise the kinds of
    /// [`Room::send`](crate::Room::send). If only the send fails, the transcript has the call nevertheless.
    pub fn tool(&self, tool: impl AsRef<str>, input: impl Into<Value>) -> Result<ToolCall> {
        self.tool_with_id(new_uuid(), tool, input)
    }

    /// Like [`tool`](Run::tool), with the id that a language model gave the call.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// let tool = run.tool_with_id("call_42", "web_search", "rust sdk")?;
    /// tool.failed("no network")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`tool`](Run::tool).
    pub fn tool_with_id(
        &self,
        id: impl Into<String>,
        tool: impl AsRef<str>,
        input: impl Into<Value>,
    ) -> Result<ToolCall> {
        let (call, shown) = self.begin_tool(id.into(), tool.as_ref(), input.into())?;
        shown.map(|()| call)
    }

    /// Returns the tool call, and the result of sending its report.
    ///
    /// # Errors
    /// `Invalid` if the run has ended, `Closed` if the run ended with the agent.
    fn begin_tool(&self, id: String, tool: &str, input: Value) -> Result<(ToolCall, Result<()>)> {
        let (started, tool) = (Instant::now(), tool.to_owned());
        let part = OpenPart::Tool { id: id.clone(), tool: tool.clone(), started };
        let number = self.core.begin_part(part)?;
        let input = &clip_value(input);
        let call = ToolCall { run: self.clone(), number, id, tool, started, over: false };
        let (tool_call_id, tool) = (&*call.id, &*call.tool);
        self.note(&RecordedStep::ToolCall { tool_call_id, tool, input });
        let shown = ToolCallPayload { tool_call_id, tool, input, status: "running" };
        let shown = self.core.report_reliably("agent-run-tool-call", &shown);
        Ok((call, shown))
    }

    /// Shows a tool call while `step` runs, and then its result. Returns the value of `step`. If a report cannot be
    /// sent, the crate logs the error and does not return it.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> std::io::Result<()> {
    /// let text = run.tool_step("read_file", "README.md", || std::fs::read_to_string("README.md"))?;
    /// println!("{} bytes", text.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The error of `step`.
    pub fn tool_step<T: Serialize, E: fmt::Display>(
        &self,
        tool: impl AsRef<str>,
        input: impl Into<Value>,
        step: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let begun = self.begin_tool(new_uuid(), tool.as_ref(), input.into());
        let outcome = step();
        log_unseen(begun.and_then(|(call, shown)| shown.and(call.end_with(&outcome))));
        outcome
    }

    /// Asks the room for permission to use a tool, and runs `step` only if a member grants it. The room sees the tool
    /// call, the `question`, and the result. Returns `None` without running `step` if the room did not permit it; the
    /// tool's result in the transcript says why.
    ///
    /// The call waits at most 2 minutes for the answer. [`ToolCall::if_permitted`] is for a call with its own id.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> Result<(), Box<dyn std::error::Error>> {
    /// let delete = || Ok::<_, Box<dyn std::error::Error>>(std::fs::remove_file("old.log")?);
    /// match run.tool_step_if_permitted("delete_file", "old.log", "Delete old.log?", delete)? {
    ///     Some(()) => println!("deleted"),
    ///     None => println!("the room did not permit it"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The error of `step`; the kinds of [`request_permission`](Run::request_permission).
    pub fn tool_step_if_permitted<T: Serialize, E: fmt::Display + From<Error>>(
        &self,
        tool: impl AsRef<str>,
        input: impl Into<Value>,
        question: impl AsRef<str>,
        step: impl FnOnce() -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let (call, shown) = self.begin_tool(new_uuid(), tool.as_ref(), input.into())?;
        log_unseen(shown);
        let Some(call) = call.if_permitted(question)? else { return Ok(None) };
        let outcome = step();
        log_unseen(call.end_with(&outcome));
        outcome.map(Some)
    }
}

fn log_unseen(report: Result<()>) {
    if let Err(error) = report {
        crate::logging::info!("cannot show a tool call in the room: {error}");
    }
}

/// A running tool call. Returned by [`Run::tool`].
///
/// ```no_run
/// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
/// let tool = run.tool("resize_image", serde_json::json!({ "width": 640 }))?;
/// match std::fs::metadata("image.png") {
///     Ok(file) => tool.done(format!("{} bytes", file.len()))?,
///     Err(error) => tool.failed(error.to_string())?,
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "if you drop the tool call, it ends as failed: call done() or failed()"]
pub struct ToolCall {
    run: Run,
    number: PartNumber,
    id: String,
    tool: String,
    started: Instant,
    over: bool,
}

impl ToolCall {
    /// The id of the call.
    ///
    /// ```no_run
    /// # fn demo(tool: &crustocean::run::ToolCall) {
    /// println!("call {}", tool.id());
    /// # }
    /// ```
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Asks the room for permission to use this tool, and waits at most 2 minutes for the answer. `question` describes
    /// the action for people.
    ///
    /// Returns the call if a member granted permission. Otherwise shows the call as failed, with the reason, and returns
    /// `None`. [`Run::request_permission`] returns the answer itself.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// let call = run.tool_with_id("call_42", "deploy", "version 1.2")?;
    /// if let Some(call) = call.if_permitted("Deploy version 1.2?")? {
    ///     call.done("deployed")?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Run::request_permission`].
    pub fn if_permitted(mut self, question: impl AsRef<str>) -> Result<Option<ToolCall>> {
        let Some(refusal) = self.run.request_permission(&self.tool, question)?.refusal() else {
            // Start the time again, because the tool's duration must not contain the wait for the answer.
            let now = Instant::now();
            self.started = now;
            self.run.core.change_part(self.number, |part| {
                if let OpenPart::Tool { started, .. } = part {
                    *started = now;
                }
            });
            return Ok(Some(self));
        };
        log_unseen(self.failed(refusal));
        Ok(None)
    }

    /// Shows that the tool succeeded.
    ///
    /// ```no_run
    /// # fn demo(tool: crustocean::run::ToolCall) -> crustocean::Result<()> {
    /// tool.done("12 results")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Room::send`](crate::Room::send). The transcript has the result in any case.
    #[doc(alias = "toolResult")]
    pub fn done(mut self, output: impl Into<Value>) -> Result<()> {
        self.end(output.into(), DONE, |run, result| run.core.report_reliably(TOOL_RESULT, result))
    }

    /// Shows that the tool failed.
    ///
    /// ```no_run
    /// # fn demo(tool: crustocean::run::ToolCall) -> crustocean::Result<()> {
    /// tool.failed("no network")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`done`](ToolCall::done).
    pub fn failed(mut self, output: impl Into<Value>) -> Result<()> {
        self.end(output.into(), FAILED, |run, result| run.core.report_reliably(TOOL_RESULT, result))
    }

    /// Shows the outcome of a step.
    fn end_with<T: Serialize, E: fmt::Display>(self, outcome: &Result<T, E>) -> Result<()> {
        match outcome {
            Ok(value) => self.done(serde_json::to_value(value).unwrap_or_default()),
            Err(error) => self.failed(error.to_string()),
        }
    }

    fn end<R>(&mut self, output: Value, status: &str, send: impl FnOnce(&Run, &ToolResult<'_>) -> R) -> R {
        self.over = true;
        let run = &self.run;
        let result = (output, status);
        let sent = run.core.end_tool(&self.id, &self.tool, self.started, result, |result| send(run, result));
        run.core.part_ended(self.number);
        sent
    }
}

impl Drop for ToolCall {
    fn drop(&mut self) {
        if !self.over {
            let why = if std::thread::panicking() {
                "the agent panicked"
            } else {
                "the program dropped the tool call"
            };
            let reported =
                self.end(why.into(), FAILED, |run, result| run.core.try_deliver(TOOL_RESULT, result));
            if let Err(error) = reported {
                crate::logging::info!("cannot send the result of tool {}: {error}", self.id);
            }
        }
    }
}
