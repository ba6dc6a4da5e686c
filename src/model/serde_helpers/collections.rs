//! Lists and maps. An element that cannot be decoded does not affect the others.

use serde::de::Deserializer;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::read_error::ReadError;
use super::text::{string_in, text_of};
use crate::json;

/// Passes the elements of a list to `each`. `None` for other values. The list may be in a string; any other string is
/// a list of one element.
pub(crate) fn elements(json: &str, each: &mut dyn FnMut(&str)) -> Option<()> {
    if let Some(inner) = string_in(json) {
        match inner.trim_start().as_bytes().first() {
            Some(b'[') => return elements(&inner, each),
            Some(_) => each(json),
            None => {}
        }
        return Some(());
    }
    let raw: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    raw.into_iter().for_each(|element| each(element.get()));
    Some(())
}

/// The members of an object, which may be in a string. Skips members that cannot be decoded. `None` for other values.
pub(crate) fn map_in(json: &str) -> Option<Map<String, Value>> {
    if let Some(inner) = string_in(json) {
        return if inner.trim_start().starts_with('{') { map_in(&inner) } else { None };
    }
    let mut map = Map::new();
    json::members(&json::repaired(json), &mut |key, value| {
        if let (Ok(key), Ok(value)) = (std::str::from_utf8(key), serde_json::from_str(value.get())) {
            map.insert(key.to_owned(), value);
        }
    })
    .ok()?;
    Some(map)
}

/// Reads a field that accepts any object.
pub(crate) fn map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    text_of(deserializer, |json| map_in(json).ok_or_else(|| ReadError::new("expected an object")))
}
