//! Reads lists and objects that some servers send directly and others in a wrapper.

use serde::de::{DeserializeOwned, Error};
use serde_json::value::RawValue;

use super::List;
use super::serde_helpers::ReadError;
pub(crate) use super::serde_helpers::read;
use crate::json;

/// Reads `[…]` or `{"<key>": […]}`.
pub(crate) fn list<T: DeserializeOwned>(json: &str, key: &'static str) -> Result<List<T>, ReadError> {
    match list_in(json, key)? {
        Some(list) => List::read(list.get()),
        None if json.trim_start().starts_with('[') => List::read(json),
        None => Err(ReadError::new("expected a list")),
    }
}

/// The list in an object. `None` if the JSON is not an object.
fn list_in<'j>(json: &'j str, key: &'static str) -> Result<Option<&'j RawValue>, ReadError> {
    if !json.trim_start().starts_with('{') {
        return Ok(None);
    }
    let [list] = json::pick(json, [key])?;
    list.filter(|list| list.get().starts_with('[')).map(Some).ok_or_else(|| Error::missing_field(key))
}

/// Reads `{…}` or `{"<key>": {…}}`.
pub(crate) fn one<T: DeserializeOwned>(json: &str, key: &str) -> Result<T, ReadError> {
    read(object_in(json, key)?.get())
}

fn object_in<'j>(json: &'j str, key: &str) -> Result<&'j RawValue, ReadError> {
    let whole: &RawValue = serde_json::from_str(json)?;
    let [inner] = json::pick(whole.get(), [key]).unwrap_or_default();
    Ok(inner.filter(|inner| inner.get().starts_with('{')).unwrap_or(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Agency, AgentConfig, User};

    #[test]
    fn lists_come_bare_and_wrapped() {
        for json in
            [r#"[{"id":"a","slug":"s"}]"#, r#"{"total":1,"agencies":[{"id":"a","slug":"s"}],"next":null}"#]
        {
            let agencies: List<Agency> = list(json, "agencies").unwrap();
            assert_eq!(agencies[0].id, "a", "{json}");
        }
        for json in ["", "{}", "null", "7", r#"{"agencies":null}"#, r#"[{"id":"a"}]x"#, r#"{"other":[]}"#] {
            assert!(list::<Agency>(json, "agencies").is_err(), "{json}");
        }
    }

    #[test]
    fn objects_come_bare_and_wrapped() {
        for json in [
            r#"{"id":"u","username":"alice"}"#,
            r#"{"ok":true,"user":{"id":"u","username":"alice"}}"#,
            r#"{"id":"u","username":"alice","user":"alice"}"#,
        ] {
            assert_eq!(one::<User>(json, "user").unwrap().username, "alice", "{json}");
        }
        assert!(one::<User>("[]", "user").is_err());
        assert!(one::<User>("<html>", "user").is_err());
        let config: AgentConfig = one(r#"{"config":{"role":"x"}}"#, "config").unwrap();
        assert_eq!(config.role(), Some("x"));
    }
}
