//! The steps of a run so far, for live viewers.

use serde_json::{Map, Value};

/// How many steps a run keeps.
const MAX_STEPS: usize = 200;
/// How many characters of each text a step keeps.
const MAX_TEXT: usize = 8_000;

/// Steps in order: `tool`, `stream`, `permission` and `status`, each an object with a `type`.
#[derive(Debug, Default)]
pub(crate) struct Activity(Vec<Map<String, Value>>);

fn short(value: Option<&Value>) -> Value {
    match value {
        Some(Value::String(text)) if text.len() > MAX_TEXT => {
            let kept: String = text.chars().take(MAX_TEXT).collect();
            format!("{kept}…").into()
        }
        Some(value @ (Value::Object(_) | Value::Array(_))) => short(Some(&value.to_string().into())),
        Some(value) => value.clone(),
        None => Value::Null,
    }
}

impl Activity {
    pub(crate) fn steps(&self) -> &[Map<String, Value>] {
        &self.0
    }

    /// Adds an `agent-run-*` event.
    pub(crate) fn note(&mut self, event: &str, payload: &Value) {
        let (kind, id, fields): (&str, &str, &[&str]) = match event {
            "agent-run-status" => ("status", "", &["status"]),
            "agent-run-tool-call" => ("tool", "toolCallId", &["tool", "input", "status"]),
            "agent-run-tool-result" => ("tool", "toolCallId", &["tool", "output", "duration", "status"]),
            "agent-run-stream" => ("stream", "messageId", &["content", "done"]),
            "agent-run-permission" => ("permission", "permissionId", &["action", "description"]),
            _ => return,
        };
        let id = short(payload.get(id).filter(|_| !id.is_empty()));
        // Statuses have no id, so a status replaces the previous step if that is a status, too.
        let known = match kind {
            "status" => self.0.last_mut().filter(|step| is(step, kind, &id)),
            _ => self.0.iter_mut().rfind(|step| is(step, kind, &id)),
        };
        let set = |step: &mut Map<String, Value>| {
            for field in fields {
                step.insert((*field).to_owned(), short(payload.get(*field)));
            }
        };
        if let Some(step) = known {
            return set(step);
        }
        let mut step = Map::new();
        step.insert("type".to_owned(), kind.into());
        step.insert("id".to_owned(), id);
        set(&mut step);
        if self.0.len() == MAX_STEPS {
            self.0.remove(0);
        }
        self.0.push(step);
    }

    pub(crate) fn decide(&mut self, permission: &str, decision: &str) {
        let known = |step: &&mut Map<String, Value>| is(step, "permission", &permission.into());
        if let Some(step) = self.0.iter_mut().find(known) {
            step.insert("decision".to_owned(), decision.into());
        }
    }
}

fn is(step: &Map<String, Value>, kind: &str, id: &Value) -> bool {
    step.get("type").is_some_and(|known| known == kind) && step.get("id") == Some(id)
}
