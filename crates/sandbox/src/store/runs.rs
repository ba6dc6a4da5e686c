//! Agent runs, as their events tell them.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::clock;

pub(crate) const KEPT: usize = 1_000;

#[derive(Debug)]
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
pub(crate) struct Runs(pub(crate) VecDeque<Run>);

impl Runs {
    /// Takes note of an `agent-run-*` event of an agent.
    pub(crate) fn note(&mut self, event: &str, agency: &str, agent: &str, username: &str, payload: &Value) {
        let Some(id) = payload.get("runId").and_then(Value::as_str) else { return };
        let field = |key: &str| payload.get(key).cloned().unwrap_or(Value::Null);
        if event == "agent-run-start" {
            // Said again by a client that did not know whether it had arrived.
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
            });
            return;
        }
        // Somebody else's run is not this agent's to end.
        let Some(run) = self.0.iter_mut().rev().find(|run| run.id == id && run.agent == agent) else {
            return;
        };
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
    }
}

impl Runs {
    /// The agent whose run it is.
    pub(crate) fn agent_of(&self, id: &str) -> Option<&str> {
        self.0.iter().rev().find(|run| run.id == id).map(|run| &*run.agent)
    }
}
