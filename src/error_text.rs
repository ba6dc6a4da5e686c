//! Finds the server's error text in REST responses, `error` events, acks and refused sockets.

use std::fmt;

use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json;

/// The field names that may hold the text, in order of preference.
const NAMES: [&str; 9] =
    ["error", "message", "msg", "reason", "detail", "details", "description", "errors", "title"];
/// How deep the search goes. `{"error":{"details":[{"message":"…"}]}}` has the text at level 5. Real answers are not
/// much deeper.
const DEEPEST: usize = 6;

/// Returns the error text in `json`. `None` if `json` has no error text, or is not JSON.
///
/// Only the text is decoded. The rest may contain values that serde_json does not decode, such as a lone surrogate or
/// the number `1e999`.
pub(crate) fn in_json(json: &str) -> Option<String> {
    let whole: &RawValue = serde_json::from_str(json).ok()?;
    search(whole.get(), DEEPEST)
}

/// Returns the error text in the arguments of an event or an ack. Commas separate the arguments.
pub(crate) fn in_arguments(arguments: &str) -> Option<String> {
    in_json(&format!("[{arguments}]"))
}

/// Returns the error text in a value.
pub(crate) fn in_value(value: &Value) -> Option<String> {
    in_json(&serde_json::to_string(value).ok()?)
}

/// Whether the answer reports a failure (`"ok": false` or `"success": false`). The HTTP status does not matter.
pub(crate) fn is_failure(json: &str) -> bool {
    json::pick(json, ["ok", "success"])
        .is_ok_and(|found| found.iter().flatten().any(|value| value.get() == "false"))
}

fn search(json: &str, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    match json.as_bytes().first()? {
        b'"' => {
            let text = json::string(json)?;
            let text = text.trim();
            (!text.is_empty()).then(|| text.to_owned())
        }
        b'[' => serde_json::Deserializer::from_str(json).deserialize_seq(FirstText { depth }).ok()?,
        b'{' => {
            let values = json::pick(json, NAMES).ok()?;
            values.iter().flatten().find_map(|value| search(value.get(), depth))
        }
        _ => None,
    }
}

/// Finds the error text in the elements of an array.
struct FirstText {
    depth: usize,
}

impl<'j> Visitor<'j> for FirstText {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut elements: A) -> Result<Option<String>, A::Error> {
        let mut found = None;
        while let Some(element) = elements.next_element::<&RawValue>()? {
            found = found.or_else(|| search(element.get(), self.depth));
        }
        Ok(found)
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
            r#"{"error":"No.","half\ud83d":["\udc00"]}"#,
            r#"{"error":1e999,"message":"No."}"#,
            r#"{"ok":false,"error":"No.","message":"Something else."}"#,
        ] {
            assert_eq!(in_json(json).as_deref(), Some("No."), "{json}");
            assert_eq!(in_arguments(json).as_deref(), Some("No."), "{json}");
        }
        for json in ["", "{}", "null", "7", "[]", r#"{"other":"x"}"#, r#"{"error":{}}"#, "No."] {
            assert_eq!(in_json(json), None, "{json}");
        }
        assert_eq!(in_arguments(r#"1,{"error":"No."}"#).as_deref(), Some("No."));
        assert_eq!(in_json(r#"{"error":"half \ud83d"}"#).as_deref(), Some("half \u{fffd}"));
        assert_eq!(in_value(&serde_json::json!({"errors": [7, "No."]})).as_deref(), Some("No."));
        let deep = format!("{}\"No.\"{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(in_json(&deep), None);
    }

    #[test]
    fn a_failure_is_one_whatever_else_is_in_it() {
        for json in [
            r#"{"ok":false}"#,
            r#" {"a":"\ud83d","success" : false}"#,
            r#"{"ok":false,"a":1e999}"#,
            r#"{"ok":true,"success":false}"#,
        ] {
            assert!(is_failure(json), "{json}");
        }
        for json in ["", "false", "[false]", r#"{"ok":true}"#, r#"{"a":{"ok":false}}"#, r#"{"ok":"false"}"#] {
            assert!(!is_failure(json), "{json}");
        }
    }
}
