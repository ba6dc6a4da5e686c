//! JSON helpers that do not depend on the platform or the protocol. This module uses no other module of the crate.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

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
        // A multi-byte character after a backslash is not valid JSON: `get` returns `None`, and `repair` changes
        // nothing.
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
    members(json, &mut |key, value| {
        let at = keys.iter().position(|wanted| wanted.as_bytes() == key);
        if let Some(place) = at.and_then(|at| found.get_mut(at)) {
            *place = Some(value);
        }
    })?;
    Ok(found)
}

/// Reads an object: passes each key and the JSON text of its value to `each`, without decoding the values.
///
/// # Errors
/// Fails if `json` is not an object.
pub(crate) fn members<'j>(
    json: &'j str,
    each: &mut dyn FnMut(&[u8], &'j RawValue),
) -> serde_json::Result<()> {
    let mut object = serde_json::Deserializer::from_str(json);
    object.deserialize_map(Members { each })?;
    object.end()
}

struct Members<'e, 'j> {
    each: &'e mut dyn FnMut(&[u8], &'j RawValue),
}

impl<'j> Visitor<'j> for Members<'_, 'j> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            (self.each)(&key, map.next_value()?);
        }
        Ok(())
    }
}

/// A key as bytes. serde_json does not check bytes for lone surrogates, and any chat user can post a lone surrogate.
pub(crate) struct Key<'j>(pub(crate) Cow<'j, [u8]>);

impl<'j> Deserialize<'j> for Key<'j> {
    fn deserialize<D: Deserializer<'j>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'j> Visitor<'j> for KeyVisitor {
    type Value = Key<'j>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_bytes<E>(self, key: &'j [u8]) -> Result<Key<'j>, E> {
        Ok(Key(key.into()))
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Key<'j>, E> {
        Ok(Key(key.to_owned().into()))
    }
}

/// Reads a string value: an id, an enum, a credential. Converts a number to its digits.
pub(crate) fn read_text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    what: &'static str,
    read: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<T, D::Error> {
    let text = deserializer.deserialize_any(TextVisitor { what, null: false })?;
    read(&text).map_err(D::Error::custom)
}

/// Like `read_text`, but `null` is an empty text.
pub(crate) fn text_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    deserializer.deserialize_any(TextVisitor { what: "text", null: true })
}

struct TextVisitor {
    what: &'static str,
    null: bool,
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(text.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(text.to_owned().into())
    }

    fn visit_string<E>(self, text: String) -> Result<Cow<'de, str>, E> {
        Ok(text.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cow<'de, str>, E> {
        Ok(number.to_string().into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cow<'de, str>, E> {
        Ok(number.to_string().into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Cow<'de, str>, E> {
        // Uses the form in which JSON writes the number.
        written(&number.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Cow<'de, str>, E> {
        match self.null {
            true => Ok("".into()),
            false => Err(E::invalid_type(Unexpected::Unit, &self)),
        }
    }
}

/// The text of a string, or the digits of a number; `None` for other values.
pub(crate) fn text_or_digits(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => Some(json.into()),
        _ => string(json),
    }
}

/// The text of a string; `None` for other values. Borrows a text without escapes.
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    match inside.contains('\\') {
        true => from_str(json).ok().map(Cow::Owned),
        false => Some(inside.into()),
    }
}

/// Returns the text of a string value; `None` for other values.
pub(crate) fn text(value: Option<&RawValue>) -> Option<String> {
    string(value?.get()).map(Cow::into_owned)
}

/// Reads a number. A number that is too large for an `f64`, such as `1e999`, is infinite.
pub(crate) fn number(json: &str) -> Option<f64> {
    serde_json::from_str(json).ok().or_else(|| {
        let valid: &RawValue = serde_json::from_str(json).ok()?;
        valid.get().starts_with(|c: char| c.is_ascii_digit()).then_some(f64::INFINITY)
    })
}

/// The name that makes serde_json return the JSON text of a value (its `RawValue` uses it). Other deserializers do not
/// know this name and return the value itself, and `text_of` then writes the value as text.
pub(crate) const TEXT_OF_VALUE: &str = "$serde_json::private::RawValue";

/// Returns the JSON text of a value. The text is valid but may contain lone surrogates.
pub(crate) fn text_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    deserializer.deserialize_newtype_struct(TEXT_OF_VALUE, TextOfValue)
}

struct TextOfValue;

fn written<'de, E: Error>(value: &Value) -> Result<Cow<'de, str>, E> {
    serde_json::to_string(value).map(Cow::Owned).map_err(E::custom)
}

impl<'de> Visitor<'de> for TextOfValue {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cow<'de, str>, A::Error> {
        let Some(FirstKey(first)) = map.next_key()? else { return Ok("{}".into()) };
        let Some(first) = first else { return map.next_value().map(|CowText(text)| text) };
        let mut tree = Map::from_iter([(first, map.next_value()?)]);
        while let Some((key, value)) = map.next_entry()? {
            tree.insert(key, value);
        }
        written(&Value::Object(tree))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, other: D) -> Result<Cow<'de, str>, D::Error> {
        written(&Value::deserialize(other)?)
    }

    fn visit_some<D: Deserializer<'de>>(self, other: D) -> Result<Cow<'de, str>, D::Error> {
        self.visit_newtype_struct(other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Cow<'de, str>, A::Error> {
        written(&Value::deserialize(SeqAccessDeserializer::new(seq))?)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
        written(&text.into())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Cow<'de, str>, E> {
        written(&value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Cow<'de, str>, E> {
        written(&value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Cow<'de, str>, E> {
        written(&value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Cow<'de, str>, E> {
        written(&value.into())
    }

    fn visit_unit<E>(self) -> Result<Cow<'de, str>, E> {
        Ok("null".into())
    }

    fn visit_none<E>(self) -> Result<Cow<'de, str>, E> {
        Ok("null".into())
    }
}

/// `None` for the key `TEXT_OF_VALUE`.
struct FirstKey(Option<String>);

impl<'de> Deserialize<'de> for FirstKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let CowText(key) = CowText::deserialize(deserializer)?;
        Ok(FirstKey((key != TEXT_OF_VALUE).then(|| key.into_owned())))
    }
}

/// A text that is borrowed if possible.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct CowText<'t>(#[serde(borrow)] Cow<'t, str>);

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
    fn reads_numbers_of_any_size() {
        for (json, expected) in
            [("0", 0.0), ("-0", 0.0), (" 2.5 ", 2.5), ("-3e2", -300.0), ("1e999", f64::INFINITY)]
        {
            assert_eq!(number(json), Some(expected), "{json}");
        }
        for json in ["", "-1e999", "\"1\"", "true", "[1]", "12abc", "+1", "inf", "NaN"] {
            assert_eq!(number(json), None, "{json}");
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
