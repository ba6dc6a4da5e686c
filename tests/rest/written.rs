//! Values that a program stores decode to the same values again, also for types that combine several objects of the API.

use crustocean::model::{LoopGuard, Message, RunRecord, Subscription, TraceReport};
use serde_json::{Value, json};

fn again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> (Value, T) {
    let written = serde_json::to_value(value).unwrap();
    (written.clone(), serde_json::from_value(written).unwrap())
}

#[test]
fn types_of_several_parts_are_written_as_one_object() {
    let json = json!({"id": "r", "agent_username": "mybot", "status": "completed", "transcript": [{"type": "start", "ts": 0}]});
    let run: RunRecord = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(again(&run), (json, run));

    let json =
        json!({"trace": [{"step": "/notes", "duration": "12ms", "status": "done"}], "duration": "340ms"});
    let report: TraceReport = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(again(&report), (json, report));

    let guard = LoopGuard::first();
    assert_eq!(again(&guard).1, guard);
    let odd: LoopGuard = serde_json::from_str(r#"{"hop":"3","max_hops":[],"status":""}"#).unwrap();
    assert_eq!((odd.hop, odd.max_hops, odd.is_active()), (3, None, true));
}

#[test]
fn a_secret_is_not_written_with_the_rest() {
    let json =
        json!({"id": "s", "url": "https://w", "events": ["message.created"], "secret": "only we know"});
    let subscription: Subscription = serde_json::from_value(json).unwrap();
    assert_eq!(subscription.secret.as_ref().unwrap().expose(), "only we know");
    let (written, again) = again(&subscription);
    assert_eq!(written, json!({"id": "s", "url": "https://w", "events": ["message.created"]}));
    assert!(again.secret.is_none());
}

#[test]
fn a_message_can_be_flattened_into_another_type() {
    #[derive(serde::Deserialize)]
    struct Saved {
        #[serde(flatten)]
        message: Message,
        note: String,
    }
    #[derive(serde::Deserialize)]
    #[serde(tag = "kind")]
    enum Log {
        Message(Box<Message>),
    }
    let json = r#"{"id":"m","agencyId":"a","content":"hi","createdAt":"","metadata":{"skill":"x"},"note":"n","kind":"Message"}"#;
    let saved: Saved = serde_json::from_str(json).unwrap();
    assert_eq!((saved.message.content.as_str(), saved.note.as_str()), ("hi", "n"));
    assert_eq!(saved.message.metadata.skill().as_deref(), Some("x"));
    let Log::Message(message) = serde_json::from_str(json).unwrap();
    assert_eq!((message.agency_id.as_str(), message.metadata.skill().as_deref()), ("a", Some("x")));
}
