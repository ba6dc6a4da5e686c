//! Checks the run events of agents against the documentation. The sandbox records violations but accepts the events,
//! because some of the platform's own clients violate the rules, too.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;

use crate::ids;
use crate::store::identity::Identity;

pub(crate) const KEPT: usize = 1_000;
/// How many characters of the payload a violation shows.
const SHOWN: usize = 500;
/// How many tools, streams and permissions of one run the sandbox checks.
const MAX_PARTS: usize = 1_000;

/// The events of one run so far.
#[derive(Debug, Default)]
pub(crate) struct RunProgress {
    /// A digest of the last event.
    pub(crate) last: Option<String>,
    pub(crate) tools: HashMap<String, (String, bool)>,
    /// For each stream: length and digest of the text so far, and whether it has ended.
    pub(crate) streams: HashMap<String, (usize, String, bool)>,
    pub(crate) permissions: HashSet<String>,
    pub(crate) over: bool,
}

/// The events of all runs, and the violations.
#[derive(Debug, Default)]
pub(crate) struct RunRules {
    pub(crate) runs: HashMap<String, RunProgress>,
    pub(crate) violations: VecDeque<String>,
}

/// The required fields of each transcript entry. `message` is optional in answers and interrupts: the official SDK leaves it
/// out if there is none.
pub(crate) const ENTRIES: [(&str, &[&str]); 11] = [
    ("start", &["triggerMessageId"]),
    ("status", &["status"]),
    ("tool-call", &["toolCallId", "tool", "input"]),
    ("tool-result", &["toolCallId", "tool", "output", "duration", "status"]),
    ("stream-start", &["messageId"]),
    ("stream-end", &["messageId", "contentLength"]),
    ("permission-request", &["permissionId", "action", "description"]),
    ("permission-response", &["permissionId", "decision"]),
    ("interrupt", &["action"]),
    ("complete", &["summary"]),
    ("error", &["message"]),
];

impl RunRules {
    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.iter().cloned().collect()
    }

    /// Checks an event that an account has sent.
    pub(crate) fn check(&mut self, sender: &Identity, event: &str, payload: &Value) {
        // Members send these events to agents. Their form in this direction is not documented.
        if matches!(event, "agent-run-interrupt" | "agent-run-permission-response") {
            return;
        }
        let mut wrong = Vec::new();
        if event == "agent-thinking" {
            check_thinking(payload, &mut wrong);
        } else {
            self.check_run(sender, event, payload, &mut wrong);
        }
        for what in wrong {
            if self.violations.len() == KEPT {
                self.violations.pop_front();
            }
            let payload: String = payload.to_string().chars().take(SHOWN).collect();
            self.violations.push_back(format!("{event}: {what}: {payload}"));
        }
    }

    pub(crate) fn check_run(
        &mut self,
        sender: &Identity,
        event: &str,
        payload: &Value,
        wrong: &mut Vec<String>,
    ) {
        for key in ["runId", "agencyId", "agentId", "username", "displayName"] {
            if text(payload, key).is_none_or(str::is_empty) {
                wrong.push(format!("no {key}"));
            }
        }
        if payload["agentId"] != sender.account || payload["username"] != sender.username {
            wrong.push("of somebody else".to_owned());
        }
        let Some(id) = text(payload, "runId") else { return };
        if self.runs.len() == KEPT && !self.runs.contains_key(id) {
            self.runs.clear();
        }
        let begun = self.runs.contains_key(id);
        let progress = self.runs.entry(id.to_owned()).or_default();
        let now = ids::sha256(&format!("{event}{payload}"));
        // A client that does not know whether an event has arrived sends it again.
        if progress.last.as_ref() == Some(&now) {
            return;
        }
        if begun == (event == "agent-run-start") {
            wrong.push(if begun { "begun twice" } else { "not begun" }.to_owned());
        }
        if progress.over {
            wrong.push("after the end".to_owned());
        }
        progress.last = Some(now);
        if progress.tools.len() + progress.streams.len() + progress.permissions.len() > MAX_PARTS {
            return;
        }
        progress.check(event, payload, wrong);
    }
}

impl RunProgress {
    pub(crate) fn check(&mut self, event: &str, payload: &Value, wrong: &mut Vec<String>) {
        let mut need = |keys: &[&str]| {
            for key in keys.iter().filter(|key| text(payload, key).is_none()) {
                wrong.push(format!("{key} is no text"));
            }
        };
        let id = |key: &str| text(payload, key).unwrap_or_default().to_owned();
        match event {
            "agent-run-start" => match payload.get("triggerMessageId") {
                Some(Value::Null | Value::String(_)) => {}
                _ => wrong.push("triggerMessageId is neither text nor null".to_owned()),
            },
            "agent-run-status" => need(&["status"]),
            "agent-run-tool-call" => {
                need(&["toolCallId", "tool", "status"]);
                if payload.get("input").is_none() || payload["status"] != "running" {
                    wrong.push("no input, or not running".to_owned());
                }
                if self.tools.insert(id("toolCallId"), (id("tool"), true)).is_some() {
                    wrong.push("called twice".to_owned());
                }
            }
            "agent-run-tool-result" => {
                need(&["toolCallId", "tool", "duration", "status"]);
                if payload.get("output").is_none() || !["done", "error"].contains(&&*id("status")) {
                    wrong.push("no output, or neither done nor error".to_owned());
                }
                let ms = id("duration");
                if ms.strip_suffix("ms").and_then(|ms| ms.parse::<u64>().ok()).is_none() {
                    wrong.push("not a duration".to_owned());
                }
                match self.tools.get_mut(&id("toolCallId")) {
                    Some((tool, open)) if *open && *tool == id("tool") => *open = false,
                    _ => wrong.push("a result without its call".to_owned()),
                }
            }
            "agent-run-stream" => {
                need(&["messageId", "content"]);
                self.check_stream(&id("messageId"), &id("content"), payload, wrong);
            }
            "agent-run-permission" => {
                need(&["permissionId", "action", "description"]);
                self.permissions.insert(id("permissionId"));
            }
            "agent-run-complete" | "agent-run-error" => {
                self.over = true;
                let (key, kind) = match event {
                    "agent-run-complete" => ("summary", "complete"),
                    _ => ("error", "error"),
                };
                need(&[key]);
                self.check_end(kind, payload.get("transcript"), wrong);
            }
            _ => wrong.push("not documented".to_owned()),
        }
    }

    pub(crate) fn check_stream(&mut self, id: &str, content: &str, payload: &Value, wrong: &mut Vec<String>) {
        let empty = || (0, ids::sha256(""), false);
        let (length, digest, over) = self.streams.entry(id.to_owned()).or_insert_with(empty);
        if *over {
            wrong.push("after the last".to_owned());
        }
        match (payload.get("done"), text(payload, "delta")) {
            (Some(Value::Bool(true)), None) => *over = true,
            (Some(Value::Bool(false)), Some(delta)) => {
                let before = content.strip_suffix(delta);
                if !before.is_some_and(|text| text.len() == *length && ids::sha256(text) == *digest) {
                    wrong.push("the content is not what was there and the delta".to_owned());
                }
            }
            _ => wrong.push("neither an addition nor the last".to_owned()),
        }
        (*length, *digest) = (content.len(), ids::sha256(content));
    }

    pub(crate) fn check_end(&self, kind: &str, transcript: Option<&Value>, wrong: &mut Vec<String>) {
        if self.tools.values().any(|(_, open)| *open) {
            wrong.push("a tool is still running".to_owned());
        }
        if self.streams.values().any(|(_, _, over)| !over) {
            wrong.push("a stream is still going on".to_owned());
        }
        let Some(entries) = transcript.and_then(Value::as_array) else {
            return wrong.push("no transcript".to_owned());
        };
        if entries.first().is_none_or(|entry| entry["type"] != "start")
            || entries.last().is_none_or(|entry| entry["type"] != kind)
        {
            wrong.push("the transcript begins or ends with something else".to_owned());
        }
        for entry in entries {
            if text(entry, "type").is_none() || entry.get("ts").is_none_or(|ts| !ts.is_u64()) {
                wrong.push(format!("an entry without type or ts: {entry}"));
            }
            let known = ENTRIES.iter().find(|(name, _)| entry["type"] == *name);
            for key in known.iter().flat_map(|(_, keys)| keys.iter()) {
                if entry.get(key).is_none() {
                    wrong.push(format!("an entry without {key}: {entry}"));
                }
            }
        }
    }
}

fn check_thinking(payload: &Value, wrong: &mut Vec<String>) {
    if text(payload, "agencyId").is_none() || payload.get("thinking").is_none_or(|on| !on.is_boolean()) {
        wrong.push("agencyId or thinking is not there".to_owned());
    }
    for key in ["status", "agentId", "username", "displayName"] {
        if payload.get(key).is_some_and(|value| !value.is_string()) {
            wrong.push(format!("{key} is no text"));
        }
    }
}

fn text<'p>(payload: &'p Value, key: &str) -> Option<&'p str> {
    payload.get(key).and_then(Value::as_str)
}
