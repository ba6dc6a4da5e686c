//! Agent runs, built from their events.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::store::activity::Activity;

pub(crate) const KEPT: usize = 1_000;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) agency: String,
    pub(crate) agent: String,
    pub(crate) agent_username: String,
    pub(crate) status: String,
    pub(crate) started_at: u64,
    pub(crate) ended_at: Option<u64>,
    pub(crate) summary: Value,
    pub(crate) error: Value,
    pub(crate) transcript: Value,
    /// The size of the run's end as JSON, in bytes.
    pub(crate) size: usize,
    /// The message that the run answers.
    #[serde(default)]
    pub(crate) trigger: Option<String>,
    #[serde(skip)]
    pub(crate) activity: Activity,
}

impl Run {
    pub(crate) fn json(&self, whole: bool) -> Value {
        let duration = self.ended_at.map(|end| format!("{}ms", end.saturating_sub(self.started_at)));
        let mut run = json!({
            "id": self.id,
            "agency_id": self.agency,
            "agent_username": self.agent_username,
            "status": self.status,
            "started_at": clock::iso(self.started_at),
            "duration": duration,
        });
        if let (true, Some(run)) = (whole, run.as_object_mut()) {
            run.insert("summary".to_owned(), self.summary.clone());
            run.insert("error".to_owned(), self.error.clone());
            run.insert("transcript".to_owned(), self.transcript.clone());
        }
        run
    }
}

/// The newest runs of all agencies.
#[derive(Debug, Default)]
pub(crate) struct Runs(pub(crate) VecDeque<Run>, Option<Vec<String>>);

/// The limit for all transcripts together, which contain the output of tools.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

impl Runs {
    /// Adds an `agent-run-*` event of an agent.
    pub(crate) fn note(&mut self, event: &str, agency: &str, agent: &str, username: &str, payload: &Value) {
        let Some(id) = payload.get("runId").and_then(Value::as_str) else { return };
        if let Some(changes) =
            self.1.as_mut().filter(|_| ["start", "complete", "error"].iter().any(|end| event.ends_with(end)))
        {
            changes.push(id.to_owned());
        }
        let field = |key: &str| payload.get(key).cloned().unwrap_or(Value::Null);
        if event == "agent-run-start" {
            // The client did not know whether the event had arrived, and has sent it again.
            if self.0.iter().any(|run| run.id == id && run.agent == agent) {
                return;
            }
            if self.0.len() == KEPT {
                self.0.pop_front();
            }
            self.0.push_back(Run {
                id: id.to_owned(),
                agency: agency.to_owned(),
                agent: agent.to_owned(),
                agent_username: username.to_owned(),
                status: "running".to_owned(),
                started_at: clock::now_ms(),
                ended_at: None,
                summary: Value::Null,
                error: Value::Null,
                transcript: json!([]),
                size: 0,
                trigger: payload.get("triggerMessageId").and_then(Value::as_str).map(str::to_owned),
                activity: Activity::default(),
            });
            return;
        }
        // An agent cannot end another agent's run.
        let Some(run) = self.0.iter_mut().rev().find(|run| run.id == id && run.agent == agent) else {
            return;
        };
        run.activity.note(event, payload);
        let status = match event {
            "agent-run-complete" => "completed",
            "agent-run-error" => "error",
            _ => return,
        };
        run.status = status.to_owned();
        run.ended_at = Some(clock::now_ms());
        run.summary = field("summary");
        run.error = field("error");
        run.transcript = field("transcript");
        run.size = payload.to_string().len();
        let mut bytes: usize = self.0.iter().map(|run| run.size).sum();
        while bytes > KEPT_BYTES && self.0.len() > 1 {
            bytes -= self.0.pop_front().map_or(0, |run| run.size);
        }
    }
}

impl Runs {
    pub(crate) fn get(&self, id: &str) -> Option<&Run> {
        self.0.iter().rev().find(|run| run.id == id)
    }

    /// Restores saved runs.
    pub(crate) fn restore(&mut self, runs: impl Iterator<Item = Run>) {
        self.0.extend(runs);
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
    }

    /// Starts to record changes.
    pub(crate) fn track(&mut self) {
        self.1.get_or_insert_default();
    }

    /// The ids of runs that have changed.
    pub(crate) fn take_changes(&mut self) -> Vec<String> {
        self.1.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Records the decision on a permission request.
    pub(crate) fn decide(&mut self, run: &str, permission: &str, decision: &str) {
        if let Some(run) = self.0.iter_mut().rev().find(|known| known.id == run) {
            run.activity.decide(permission, decision);
        }
    }

    pub(crate) fn clear(&mut self) {
        let gone = self.0.drain(..).map(|run| run.id);
        if let Some(changes) = &mut self.1 {
            changes.extend(gone);
        }
    }
}
