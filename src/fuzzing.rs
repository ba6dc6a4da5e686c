//! What the fuzzers call. Compiled only for them (`--cfg fuzzing`), so it is no part of the API.
//!
//! Each function takes anything and panics when something is not as it should be.
#![allow(missing_docs, reason = "not for people")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a failure is a finding")]

pub use crate::socket::fuzzing::{engine, frames, packet, payload};

use crate::model::{Message, MessageEdited, Metadata, Timestamp};

/// The types that are read off the socket and out of the history.
pub fn model(text: &str) {
    if let Ok(message) = serde_json::from_str::<Message>(text) {
        let _ = (message.is_system(), message.loop_guard(), format!("{message:?}"));
        let written = serde_json::to_string(&message).unwrap();
        let again: Message = serde_json::from_str(&written).unwrap();
        assert_eq!((&again.id, &again.content), (&message.id, &message.content));
        assert_eq!(again.created_at, message.created_at);
    }
    let _ = serde_json::from_str::<MessageEdited>(text).map(|edited| format!("{edited:?}"));
    if let Ok(metadata) = serde_json::from_str::<Metadata>(text) {
        let _ = (metadata.loop_guard(), format!("{metadata:?}"), serde_json::to_string(&metadata).unwrap());
    }
    let time = Timestamp::from(text);
    let _ = (time.to_system_time(), format!("{time:?}"));
    assert_eq!(time.cmp(&time), std::cmp::Ordering::Equal);
    assert_eq!(Timestamp::from(time.to_string()), time);
}
