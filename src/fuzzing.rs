//! The functions that the fuzzers call. Compiled only with `--cfg fuzzing`, so this module is not part of the API.
//!
//! Each function accepts any input. It panics if a result is wrong.
#![allow(missing_docs, reason = "not for people")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a failure is a finding")]

pub use crate::socket::fuzzing::{engine, frames, packet, payload};

use crate::model::{HookCall, Message, MessageEdited, Metadata, PromptRequest, Timestamp, WebhookDelivery};

/// Checks the types that the crate reads from the socket and from a room's history.
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

/// Checks the three request types that the platform posts to webhooks: each type accepts or rejects the body.
pub fn webhook(body: &[u8]) {
    let call = HookCall::from_json(body);
    if let Ok(call) = &call {
        let _ = (call.option("in"), call.flag("loud"), format!("{call:?}"));
        let written = serde_json::to_vec(call).unwrap();
        assert_eq!(HookCall::from_json(&written).unwrap().raw_args, call.raw_args);
    }
    let delivery = WebhookDelivery::from_json(body);
    if let Ok(delivery) = &delivery {
        let _ = (format!("{delivery:?}"), delivery.timestamp.as_ref().map(Timestamp::to_system_time));
        if let Some(message) = delivery.message() {
            let written = serde_json::to_string(&message).unwrap();
            assert_eq!(serde_json::from_str::<Message>(&written).unwrap().id, message.id);
        }
    }
    let prompt = PromptRequest::from_json(body);
    if let Ok(prompt) = &prompt {
        let _ = (format!("{prompt:?}"), serde_json::to_string(prompt).unwrap());
    }
    // Parsing a `Value` of the same JSON gives the same result as parsing the bytes.
    if let Ok(tree) = serde_json::from_slice::<serde_json::Value>(body) {
        let again = serde_json::from_value::<HookCall>(tree).map(|call| (call.agency_id, call.command)).ok();
        assert_eq!(again, call.ok().map(|call| (call.agency_id, call.command)));
    }
}
