//! Messages of a history that look odd, or that cannot be read.

use serde_json::{Value, json};

/// The [`odd`] messages whose kind is below this number can be read.
pub(crate) const READABLE: u64 = 8;

/// Returns what the history contains in place of the message `usual`.
pub(crate) fn odd(kind: u64, usual: Value) -> String {
    let with = |key: &str, value: Value| {
        let mut odd = usual.clone();
        odd[key] = value;
        odd.to_string()
    };
    match kind {
        0 => with("content", Value::Null),
        1 => with("content", json!(17)),
        2 => with("sender_username", json!(["alice"])),
        3 => with("type", json!({"a": 1})),
        4 => with("metadata", json!("{not json")),
        5 => with("edited_at", json!(false)),
        6 => with("created_at", json!(1_700_000_000_000_u64)),
        // Half of a surrogate pair.
        7 => usual.to_string().replace("number", "number \\ud83d"),
        8 => Value::Null.to_string(),
        9 => "[[]]".to_owned(),
        10 => json!({ "id": usual["id"], "content": "no room" }).to_string(),
        _ => json!({ "agency_id": usual["agency_id"], "content": "no id" }).to_string(),
    }
}
