//! The transcript of a run. The platform gets the transcript at the end of the run.

use std::collections::VecDeque;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::json;
use crate::model::{MessageId, TranscriptEntry};
use crate::sync::lock::Mutex;

/// The most bytes of one text. The transcript cuts longer texts: nobody reads a megabyte of log, and the transcript is
/// one event.
pub(crate) const MAX_TEXT: usize = 32 << 10;
/// The most bytes of an entry that the program records.
const MAX_ENTRY: usize = 64 << 10;
/// The most bytes of all entries together. Servers usually accept a million bytes per event.
const LARGEST: usize = 640 << 10;

/// An entry, in the platform's form.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(crate) enum RecordedStep<'a> {
    Start { trigger_message_id: Option<&'a MessageId> },
    Status { status: &'a str },
    ToolCall { tool_call_id: &'a str, tool: &'a str, input: &'a Value },
    ToolResult { tool_call_id: &'a str, tool: &'a str, output: &'a Value, duration: &'a str, status: &'a str },
    StreamStart { message_id: &'a MessageId },
    StreamEnd { message_id: &'a MessageId, content_length: usize },
    PermissionRequest { permission_id: &'a str, action: &'a str, description: &'a str },
    PermissionResponse { permission_id: &'a str, decision: &'a str, message: Option<&'a str> },
    Interrupt { action: &'a str, message: Option<&'a str> },
    Complete { summary: &'a str },
    Error { message: &'a str },
}

#[derive(Serialize)]
struct Stamped<'a> {
    #[serde(flatten)]
    step: &'a RecordedStep<'a>,
    /// Milliseconds since the start of the run.
    ts: u64,
}

/// The transcript of a run, in order, as the server stores it. Entries are JSON text, so that their size is known.
#[derive(Debug)]
pub(crate) struct RunTranscript {
    started: Instant,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// The first entry, which the transcript never omits.
    start: Option<Box<RawValue>>,
    others: VecDeque<Box<RawValue>>,
    bytes: usize,
    left_out: u64,
}

impl RunTranscript {
    pub(crate) fn new() -> Self {
        RunTranscript { started: Instant::now(), entries: Mutex::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn push(&self, step: &RecordedStep<'_>) {
        // Take the lock before the time, so that the times in the list increase even if several threads add entries.
        let mut entries = self.entries.lock();
        // This cannot fail: all of these serialise to JSON.
        if let Ok(entry) = serde_json::value::to_raw_value(&Stamped { step, ts: self.now() }) {
            entries.push(entry);
        }
    }

    /// # Errors
    /// `Invalid` if the entry is not an object with a `type`, or is too large.
    pub(crate) fn record(&self, entry: &impl Serialize) -> Result<()> {
        let unusable = |error| Error::invalid("this entry cannot be serialised").with_source(error);
        let entry = serde_json::to_value(entry).map_err(unusable)?;
        let Value::Object(mut entry) = entry else {
            return Err(Error::invalid("an entry of a transcript is a JSON object"));
        };
        if entry.get("type").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(Error::invalid("an entry of a transcript needs the key `type`"));
        }
        let mut entries = self.entries.lock();
        entry.insert("ts".to_owned(), self.now().into());
        let entry = serde_json::value::to_raw_value(&entry).map_err(unusable)?;
        if entry.get().len() > MAX_ENTRY {
            let text = format!("the entry is {} bytes, {MAX_ENTRY} are allowed", entry.get().len());
            return Err(Error::invalid(text));
        }
        entries.push(entry);
        Ok(())
    }

    /// All entries. An entry `omitted` stands for omitted entries.
    pub(crate) fn all(&self) -> Vec<Box<RawValue>> {
        let entries = self.entries.lock();
        let omitted = (entries.left_out > 0).then(|| {
            let note = serde_json::json!({"type": "omitted", "count": entries.left_out, "ts": 0});
            serde_json::value::to_raw_value(&note).ok()
        });
        let parts = entries.start.iter().cloned().chain(omitted.flatten());
        parts.chain(entries.others.iter().cloned()).collect()
    }

    pub(crate) fn typed(&self) -> Vec<TranscriptEntry> {
        self.all().iter().filter_map(|entry| json::from_str(entry.get()).ok()).collect()
    }

    /// Omits the oldest entries, half of the bytes. Returns `false` if no entry is left to omit.
    pub(crate) fn halve(&self) -> bool {
        let mut entries = self.entries.lock();
        let goal = entries.bytes / 2;
        // The last entry stays.
        let mut shorter = false;
        while entries.bytes > goal && entries.others.len() > 1 {
            entries.leave_out_oldest();
            shorter = true;
        }
        shorter
    }
}

impl Entries {
    fn push(&mut self, entry: Box<RawValue>) {
        if self.start.is_none() {
            self.start = Some(entry);
            return;
        }
        self.bytes += entry.get().len();
        self.others.push_back(entry);
        while self.bytes > LARGEST {
            self.leave_out_oldest();
        }
    }

    fn leave_out_oldest(&mut self) {
        if let Some(entry) = self.others.pop_front() {
            self.bytes -= entry.get().len();
            self.left_out += 1;
        }
    }
}

/// Cuts the text to the limit and adds a note.
pub(crate) fn clip(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= MAX_TEXT {
        return text.into();
    }
    let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (kept, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    format!("{kept}… ({} bytes more)", rest.len()).into()
}

/// Cuts a JSON value in the same way. A value that is too large becomes a text.
pub(crate) fn clip_value(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > MAX_TEXT => clip(&text).into_owned().into(),
        Value::Object(_) | Value::Array(_) => {
            let text = serde_json::to_string(&value).unwrap_or_default();
            if text.len() > MAX_TEXT { clip(&text).into_owned().into() } else { value }
        }
        small => small,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds(transcript: &RunTranscript) -> Vec<String> {
        transcript.typed().iter().map(|entry| entry.kind().to_owned()).collect()
    }

    #[test]
    fn it_is_bounded_and_keeps_both_ends() {
        let transcript = RunTranscript::new();
        transcript.push(&RecordedStep::Start { trigger_message_id: None });
        let long = "x".repeat(60_000);
        for n in 0..100 {
            transcript.record(&json!({"type": "own", "n": n, "text": long})).unwrap();
        }
        let size: usize = transcript.all().iter().map(|entry| entry.get().len()).sum();
        assert!(size <= LARGEST + 100, "{size}");
        assert_eq!(kinds(&transcript).get(..3).unwrap(), ["start", "omitted", "own"]);
        let all = transcript.typed();
        assert_eq!(all.last().unwrap().get("n"), Some(&json!(99)));
        assert_eq!(all[1].get("count"), Some(&json!(100 - (all.len() - 2))));
        transcript.push(&RecordedStep::Complete { summary: "Done." });
        while transcript.halve() {}
        assert_eq!(kinds(&transcript), ["start", "omitted", "complete"]);
    }

    #[test]
    fn every_step_is_written_in_the_platforms_words() {
        let (id, value) = (MessageId::from("m"), json!([1]));
        for (step, text) in [
            (
                RecordedStep::Start { trigger_message_id: Some(&id) },
                r#""type":"start","triggerMessageId":"m""#,
            ),
            (RecordedStep::Start { trigger_message_id: None }, r#""type":"start","triggerMessageId":null"#),
            (RecordedStep::Status { status: "busy" }, r#""type":"status","status":"busy""#),
            (
                RecordedStep::ToolCall { tool_call_id: "tc", tool: "/x", input: &value },
                r#""type":"tool-call","toolCallId":"tc","tool":"/x","input":[1]"#,
            ),
            (
                RecordedStep::ToolResult {
                    tool_call_id: "tc",
                    tool: "/x",
                    output: &value,
                    duration: "1ms",
                    status: "done",
                },
                r#""type":"tool-result","toolCallId":"tc","tool":"/x","output":[1],"duration":"1ms","status":"done""#,
            ),
            (RecordedStep::StreamStart { message_id: &id }, r#""type":"stream-start","messageId":"m""#),
            (
                RecordedStep::StreamEnd { message_id: &id, content_length: 3 },
                r#""type":"stream-end","messageId":"m","contentLength":3"#,
            ),
            (
                RecordedStep::PermissionRequest { permission_id: "p", action: "a", description: "d" },
                r#""type":"permission-request","permissionId":"p","action":"a","description":"d""#,
            ),
            (
                RecordedStep::PermissionResponse {
                    permission_id: "p",
                    decision: "deny",
                    message: Some("no"),
                },
                r#""type":"permission-response","permissionId":"p","decision":"deny","message":"no""#,
            ),
            (
                RecordedStep::Interrupt { action: "stop", message: None },
                r#""type":"interrupt","action":"stop","message":null"#,
            ),
            (RecordedStep::Complete { summary: "s" }, r#""type":"complete","summary":"s""#),
            (RecordedStep::Error { message: "e" }, r#""type":"error","message":"e""#),
        ] {
            let written = serde_json::to_string(&Stamped { step: &step, ts: 7 }).unwrap();
            assert_eq!(written, format!("{{{text},\"ts\":7}}"));
        }
    }

    #[test]
    fn an_entry_of_ones_own_is_an_object_with_a_type() {
        let transcript = RunTranscript::new();
        for bad in [json!(1), json!({}), json!({"type": ""}), json!({"type": 7})] {
            assert!(transcript.record(&bad).is_err(), "{bad}");
        }
        assert!(transcript.record(&json!({"type": "big", "text": "x".repeat(100_000)})).is_err());
        assert!(transcript.all().is_empty());
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = "é".repeat(MAX_TEXT);
        let cut = clip(&text);
        assert!(cut.len() < MAX_TEXT + 40 && cut.ends_with(" bytes more)"), "{}", cut.len());
        assert!(cut.starts_with('é'));
        assert_eq!(clip("short"), "short");
        let list = json!(vec!["y".repeat(10_000); 10]);
        assert!(clip_value(list).as_str().unwrap().len() < MAX_TEXT + 40);
        assert_eq!(clip_value(json!({"a": 1})), json!({"a": 1}));
    }
}
