//! Serialisation of events, for programs that log them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::Value;
use std::fmt::Display;
use std::time::Duration;

use crate::agent::presence::Presence;
use crate::socket::RawEvent;

/// Serialises as `{"name": "…", "args": […]}`, with `"attachments"` in base64 if there are any. Arguments that are
/// nested too deeply for a JSON tree become a text.
impl Serialize for RawEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let attachments: Vec<String> = self.attachments().map(|bytes| STANDARD.encode(bytes)).collect();
        let mut event = serializer.serialize_struct("RawEvent", 2 + usize::from(!attachments.is_empty()))?;
        event.serialize_field("name", self.name())?;
        let args = serde_json::from_str(&format!("[{}]", self.args()));
        event.serialize_field("args", &args.unwrap_or_else(|_| Value::from(self.args())))?;
        if !attachments.is_empty() {
            event.serialize_field("attachments", &attachments)?;
        }
        event.end()
    }
}

/// Serialises as the event that the server sent.
impl Serialize for Presence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw().serialize(serializer)
    }
}

/// Serialises as text.
pub(super) fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Serialises as seconds.
pub(super) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Event;
    use serde_json::json;

    fn written(frame: &str) -> Value {
        let frame = tungstenite::Utf8Bytes::from(frame.to_owned());
        let raw = RawEvent::new(&frame, frame.as_str(), None, vec![vec![1, 2, 3].into()]).unwrap();
        serde_json::to_value(Event::from_raw(raw).unwrap()).unwrap()
    }

    #[test]
    fn events_are_written_with_their_names_and_what_they_hold() {
        let message =
            written(r#"["message",{"id":"m","agency_id":"a","content":"hi","created_at":"2026-01-01"}]"#);
        assert_eq!((&message["type"], &message["data"]["content"]), (&json!("message"), &json!("hi")));
        let other = written(r#"["news",{"a":[1]},null]"#);
        let expected = json!({
            "type": "other",
            "data": {"name": "news", "args": [{"a": [1]}, null], "attachments": ["AQID"]},
        });
        assert_eq!(other, expected);
        let presence = written(r#"["agent-status",{"userId":"u","status":"online"}]"#);
        assert_eq!(presence["data"]["args"], json!([{"userId": "u", "status": "online"}]));
        let deep = format!("[\"news\",{}{}]", "[".repeat(300), "]".repeat(300));
        assert!(written(&deep)["data"]["args"].is_string());
        let lost = Event::Disconnected {
            reason: "ping timeout".into(),
            detail: "nothing came".to_owned(),
            retry_in: Duration::from_millis(1500),
        };
        let expected = json!({
            "type": "disconnected",
            "data": {"reason": "ping timeout", "detail": "nothing came", "retry_in": 1.5},
        });
        assert_eq!(serde_json::to_value(&lost).unwrap(), expected);
    }
}
