//! Helpers for the tests of runs.

use crustocean::{Agent, Room, run::Run};
use serde_json::{Value, json};

use super::TestSandbox;

/// An agent in the lobby, and the lobby.
pub fn lobby(sandbox: &TestSandbox, name: &str) -> (Agent, Room) {
    let agent = sandbox.connect(name);
    let room = agent.join("lobby").expect("joins the lobby");
    (agent, room)
}

/// The events of one run so far: name and payload, without the fields that all of them have.
pub fn run_events(sandbox: &TestSandbox, run: &str) -> Vec<(String, Value)> {
    let events = sandbox.events().into_iter();
    let own = events.filter(|(name, payload)| name.starts_with("agent-run-") && payload["runId"] == run);
    own.map(|(name, mut payload)| {
        let fields = payload.as_object_mut().expect("an object");
        for key in ["runId", "agencyId", "agentId", "username", "displayName"] {
            assert!(fields.remove(key).is_some(), "{name} has no {key}");
        }
        (name, payload)
    })
    .collect()
}

/// Waits for the end of a run and returns its transcript, without the times.
pub fn transcript_at_end(sandbox: &TestSandbox, name: &str, run: &str) -> Vec<Value> {
    super::eventually(name, || run_events(sandbox, run).iter().any(|(event, _)| event == name));
    let events = run_events(sandbox, run);
    let (_, end) = events.iter().find(|(event, _)| event == name).expect("the end");
    without_times(&end["transcript"])
}

/// Checks and removes `ts` and `duration`.
pub fn without_times(transcript: &Value) -> Vec<Value> {
    let mut last = 0;
    let mut entries = transcript.as_array().expect("a transcript").clone();
    for entry in &mut entries {
        let fields = entry.as_object_mut().expect("an object");
        let ts = fields.remove("ts").and_then(|ts| ts.as_u64()).expect("ts in milliseconds");
        assert!(ts >= last, "times go up");
        last = ts;
        if let Some(duration) = fields.remove("duration") {
            let ms = duration.as_str().and_then(|text| text.strip_suffix("ms")).expect("milliseconds");
            assert!(ms.parse::<u64>().is_ok(), "{duration}");
        }
    }
    entries
}

/// Checks that all events have the documented form.
pub fn assert_no_violations(sandbox: &TestSandbox) {
    assert_eq!(sandbox.run_violations(), Vec::<String>::new());
}

/// The types of a transcript's entries. An entry that the bot recorded itself is returned whole.
pub fn kinds(run: &Run) -> Vec<String> {
    run.transcript().iter().map(|entry| entry.kind().to_owned()).collect()
}

/// The first entry of a run without a trigger message.
pub fn begun() -> Value {
    json!({"type": "start", "triggerMessageId": null})
}
