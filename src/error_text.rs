//! Finds the server's error text in REST responses, `error` events, acks and refused sockets.

use serde_json::Value;

use crate::json;

/// The field names that may hold the text, in order of preference.
const NAMES: [&str; 9] =
    ["error", "message", "msg", "reason", "detail", "details", "description", "errors", "title"];
/// `{"error":{"details":[{"message":"…"}]}}` is three levels deep. Real answers are not much deeper.
const DEEPEST: usize = 6;

/// Returns the error text in `json`. `None` if `json` has no error text, or is not JSON.
pub(crate) fn in_json(json: &str) -> Option<String> {
    in_value(&serde_json::from_str(&json::repaired(json)).ok()?)
}

/// Returns the error text in the arguments of an event or an ack. Commas separate the arguments.
pub(crate) fn in_arguments(arguments: &str) -> Option<String> {
    in_json(&format!("[{arguments}]"))
}

/// Returns the error text in a value.
pub(crate) fn in_value(value: &Value) -> Option<String> {
    search(value, DEEPEST)
}

/// Whether the answer reports a failure (`"ok": false` or `"success": false`). The HTTP status does not matter.
pub(crate) fn is_failure(answer: &Value) -> bool {
    ["ok", "success"].iter().any(|name| answer.get(name) == Some(&Value::Bool(false)))
}

fn search(value: &Value, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Array(values) => values.iter().find_map(|value| search(value, depth)),
        Value::Object(fields) => {
            NAMES.iter().find_map(|name| fields.get(*name).and_then(|value| search(value, depth)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_words_wherever_they_are() {
        for json in [
            r#""No.""#,
            r#"{"error":"No."}"#,
            r#"{"message":"No."}"#,
            r#"{"msg":"No."}"#,
            r#"{"reason":"No."}"#,
            r#"{"detail":"No."}"#,
            r#"{"error":{"message":"No."}}"#,
            r#"{"error":{"code":7,"msg":"No."}}"#,
            r#"{"error":true,"message":"No."}"#,
            r#"{"error":null,"message":" No. "}"#,
            r#"{"error":"","message":"No."}"#,
            r#"{"errors":["No.","Never."]}"#,
            r#"{"errors":[{"message":"No."}]}"#,
            r#"{"error":{"details":[{"message":"No."}]}}"#,
            r#"[null,{"error":"No."}]"#,
            r#"{"error":"No.","half":"\ud83d"}"#,
            r#"{"ok":false,"error":"No.","message":"Something else."}"#,
        ] {
            assert_eq!(in_json(json).as_deref(), Some("No."), "{json}");
            assert_eq!(in_arguments(json).as_deref(), Some("No."), "{json}");
        }
        for json in ["", "{}", "null", "7", "[]", r#"{"other":"x"}"#, r#"{"error":{}}"#, "No."] {
            assert_eq!(in_json(json), None, "{json}");
        }
        assert_eq!(in_arguments(r#"1,{"error":"No."}"#).as_deref(), Some("No."));
        let deep = format!("{}\"No.\"{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(in_json(&deep), None);
    }
}
