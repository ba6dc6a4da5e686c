//! JSON helpers that do not depend on the platform or the protocol. This module uses no other module of the crate.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Unexpected, Visitor,
};
use serde_json::Value;
use serde_json::value::RawValue;

/// Reads a value from JSON text. Replaces each lone surrogate with U+FFFD.
///
/// The types of `model` repair their own strings; this function repairs the strings of all other types.
pub(crate) fn from_str<T: for<'de> Deserialize<'de>>(json: &str) -> serde_json::Result<T> {
    serde_json::from_str(json)
        .or_else(|error| repair(json).map_or(Err(error), |repaired| serde_json::from_str(&repaired)))
}

/// Replaces every lone surrogate in `json` with U+FFFD. Returns `None` if `json` contains no lone surrogate.
///
/// A JavaScript program can cut a string in the middle of a character, such as an emoji. The JSON then contains the
/// escape `\ud83d` without its second half. serde_json rejects this JSON.
pub(crate) fn repair(json: &str) -> Option<String> {
    let mut repaired = String::new();
    let mut done = 0;
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let escape = rest.get(at..).unwrap_or_default();
        // An escape is 2 bytes long, a `\u` escape 6 bytes, and a surrogate pair 12 bytes.
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                let start = json.len() - escape.len();
                repaired.push_str(json.get(done..start).unwrap_or_default());
                repaired.push_str("\\ufffd");
                done = start + 6;
                6
            }
            (Some(_), _) => 6,
            (None, _) => 2,
        };
        // A multi-byte character after a backslash is not valid JSON: `get` returns `None`, and nothing is repaired.
        rest = escape.get(length..)?;
    }
    (done > 0).then(|| repaired + json.get(done..).unwrap_or_default())
}

/// Like `repair`, but borrows `json` if it needs no repair.
pub(crate) fn repaired(json: &str) -> Cow<'_, str> {
    repair(json).map_or(Cow::Borrowed(json), Cow::Owned)
}

/// The code unit of an escape such as `\ud83d` at the start of `text`.
fn unit(text: &str) -> Option<u16> {
    let hex = text.strip_prefix("\\u")?.get(..4)?;
    hex.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(hex, 16).ok())?
}

/// Returns the values of `keys` in an object, as JSON text. If a key occurs several times, the last value counts. The
/// function skips other values without building them, so deeply nested JSON does no harm.
///
/// # Errors
/// Fails if `json` is not an object.
pub(crate) fn pick<'j, const N: usize>(
    json: &'j str,
    keys: [&str; N],
) -> serde_json::Result<[Option<&'j RawValue>; N]> {
    let mut found = [None; N];
    members(
        json,
        |key| keys.iter().position(|wanted| wanted.as_bytes() == key),
        |at, value| {
            if let Some(place) = found.get_mut(at) {
                *place = Some(value);
            }
        },
    )?;
    Ok(found)
}

/// Reads an object: passes the values of the `wanted` keys to `found`, as JSON text, and skips all others. Returns
/// the number of members.
///
/// # Errors
/// Fails if `json` is not an object.
pub(crate) fn members<'j, K>(
    json: &'j str,
    wanted: impl FnMut(&[u8]) -> Option<K>,
    found: impl FnMut(K, &'j RawValue),
) -> serde_json::Result<usize> {
    let mut object = serde_json::Deserializer::from_str(json);
    let count = object.deserialize_map(Members { wanted, found })?;
    object.end()?;
    Ok(count)
}

struct Members<W, F> {
    wanted: W,
    found: F,
}

impl<'j, K, W: FnMut(&[u8]) -> Option<K>, F: FnMut(K, &'j RawValue)> Visitor<'j> for Members<W, F> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'j>>(mut self, mut map: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while let Some(key) = map.next_key_seed(Key(&mut self.wanted))? {
            count += 1;
            match key {
                Some(key) => (self.found)(key, map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(count)
    }
}

/// Reads a key as bytes. serde_json does not check bytes for lone surrogates, and any chat user can post a lone
/// surrogate.
struct Key<'w, W>(&'w mut W);

impl<'j, K, W: FnMut(&[u8]) -> Option<K>> DeserializeSeed<'j> for Key<'_, W> {
    type Value = Option<K>;

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<Option<K>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<K, W: FnMut(&[u8]) -> Option<K>> Visitor<'_> for Key<'_, W> {
    type Value = Option<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Option<K>, E> {
        Ok((self.0)(key))
    }
}

/// Reads a string value: an id, an enum, a credential. Converts a number to its digits.
pub(crate) fn read_text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    what: &'static str,
    read: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(TextVisitor { what, read, null: false })
}

/// Like `read_text`, but `null` is an empty text.
pub(crate) fn read_text_or_null<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    read: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(TextVisitor { what: "text", read, null: true })
}

struct TextVisitor<F> {
    what: &'static str,
    read: F,
    null: bool,
}

impl<T, F: FnOnce(&str) -> Result<T, &'static str>> Visitor<'_> for TextVisitor<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        // Uses the form in which JSON writes the number.
        self.visit_str(&Value::from(number).to_string())
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        match self.null {
            true => self.visit_str(""),
            false => Err(E::invalid_type(Unexpected::Unit, &self)),
        }
    }
}

/// Returns the text of a string value; `None` for other values.
pub(crate) fn text(value: Option<&RawValue>) -> Option<String> {
    // Checks the quote first, because creating a serde_json error is slow.
    let json = value?.get();
    if json.starts_with('"') { from_str(json).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_values_out_of_an_object() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        let json = format!(r#"{{"a":1,"x":{deep},"\udfff":"\ud800","b":{{"a":2}},"a":"three"}}"#);
        let [a, b, c] = pick(&json, ["a", "b", "c"]).unwrap();
        assert_eq!(
            (text(a).as_deref(), b.unwrap().get(), c.map(RawValue::get)),
            (Some("three"), "{\"a\":2}", None)
        );
        assert_eq!((text(b), text(c)), (None, None));
        for json in ["", "[]", "7", "{\"a\":1", "{\"a\":1}x", "null"] {
            assert!(pick(json, ["a"]).is_err(), "{json}");
        }
    }

    #[test]
    fn repairs_lone_surrogates_and_nothing_else() {
        for (json, repaired) in [
            (r#""plain""#, None),
            (r#""\n\u0041\\ud800""#, None),
            (r#""\ud83e\udd80""#, None),
            (r#""\ud83e""#, Some(r#""\ufffd""#)),
            (r#""\udd80\ud83e\udd80\ud83e""#, Some(r#""\ufffd\ud83e\udd80\ufffd""#)),
            (r#""\ud83e\ud83e\udd80""#, Some(r#""\ufffd\ud83e\udd80""#)),
            (r#""\\\uDBFFx""#, Some(r#""\\\ufffdx""#)),
            (r#""\ud83e\n""#, Some(r#""\ufffd\n""#)),
            (r#""\u+123\ud8""#, None),
            ("\"\\\u{1F980}\\ud800\"", None),
            ("\"\\", None),
        ] {
            assert_eq!(repair(json).as_deref(), repaired, "{json}");
        }
    }

    #[test]
    fn a_lone_surrogate_is_repaired() {
        let value: serde_json::Value = from_str(r#"{"a\ud83d":["\udc00x","\ud83e\udd80"]}"#).unwrap();
        assert_eq!(value, serde_json::json!({"a\u{fffd}": ["\u{fffd}x", "\u{1F980}"]}));
        assert!(from_str::<String>(r#""\ud83d"#).is_err());
    }
}
