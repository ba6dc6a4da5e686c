//! Lists and objects that some servers send bare and some in a wrapper.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// `[…]` or `{"<key>": […]}`.
pub(crate) fn list<T: DeserializeOwned>(json: &[u8], key: &'static str) -> serde_json::Result<Vec<T>> {
    let mut json = serde_json::Deserializer::from_slice(json);
    let list = json.deserialize_any(ListVisitor { key, element: PhantomData })?;
    json.end()?;
    Ok(list)
}

struct ListVisitor<T> {
    key: &'static str,
    element: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list, or an object with the list `{}`", self.key)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element()? {
            list.push(element);
        }
        Ok(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
        let mut list = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.key {
                list = map.next_value::<Option<Vec<T>>>()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        list.ok_or_else(|| A::Error::missing_field(self.key))
    }
}

/// `{…}` or `{"<key>": {…}}`.
pub(crate) fn one<T: DeserializeOwned>(json: &[u8], key: &str) -> serde_json::Result<T> {
    let whole: &RawValue = serde_json::from_slice(json)?;
    let mut object = serde_json::Deserializer::from_str(whole.get());
    let inner = object.deserialize_any(InnerVisitor { key });
    serde_json::from_str(inner.ok().flatten().unwrap_or(whole).get())
}

/// Finds the object under a key, if there is one.
struct InnerVisitor<'k> {
    key: &'k str,
}

impl<'de> Visitor<'de> for InnerVisitor<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut inner = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.key {
                inner = Some(map.next_value::<&RawValue>()?).filter(|value| value.get().starts_with('{'));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(inner)
    }
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
            let agencies: Vec<Agency> = list(json.as_bytes(), "agencies").unwrap();
            assert_eq!(agencies[0].id, "a", "{json}");
        }
        for json in ["", "{}", "null", "7", r#"{"agencies":null}"#, r#"[{"id":"a"}]x"#, r#"{"other":[]}"#] {
            assert!(list::<Agency>(json.as_bytes(), "agencies").is_err(), "{json}");
        }
    }

    #[test]
    fn objects_come_bare_and_wrapped() {
        for json in [
            r#"{"id":"u","username":"alice"}"#,
            r#"{"ok":true,"user":{"id":"u","username":"alice"}}"#,
            r#"{"id":"u","username":"alice","user":"alice"}"#,
        ] {
            assert_eq!(one::<User>(json.as_bytes(), "user").unwrap().username, "alice", "{json}");
        }
        assert!(one::<User>(b"[]", "user").is_err());
        assert!(one::<User>(b"<html>", "user").is_err());
        let config: AgentConfig = one(br#"{"config":{"role":"x"}}"#, "config").unwrap();
        assert_eq!(config.role(), Some("x"));
    }
}
