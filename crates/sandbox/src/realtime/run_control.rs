//! Interrupts runs, and answers their permission requests.

use serde_json::{Value, json};

use crate::app::App;
use crate::realtime::emit;

/// Interrupts a run: `stop`, or `adjust` with a message. Returns false if there is no such run.
pub(crate) fn interrupt(app: &App, run: &str, action: &str, message: Option<&str>) -> bool {
    let payload = json!({ "runId": run, "action": action });
    emit_to_agent_of(app, run, "agent-run-interrupt", payload, message)
}

/// Answers a permission request. Only `approve` grants it. Returns false if there is no such run.
pub(crate) fn answer(app: &App, run: &str, permission: &str, decision: &str, message: Option<&str>) -> bool {
    let payload = json!({ "runId": run, "permissionId": permission, "decision": decision });
    let exists = emit_to_agent_of(app, run, "agent-run-permission-response", payload, message);
    app.data().runs.decide(run, permission, decision);
    exists
}

fn emit_to_agent_of(app: &App, run: &str, event: &str, mut payload: Value, message: Option<&str>) -> bool {
    if let (Some(message), Some(fields)) = (message, payload.as_object_mut()) {
        fields.insert("message".to_owned(), message.into());
    }
    let Some(agent) = app.data().runs.get(run).map(|run| run.agent.clone()) else { return false };
    emit::emit_to_user(app, &agent, event, &payload);
    true
}
