//! Outgoing JSON objects: the metadata of a message, the answer of a webhook.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

/// The members of an outgoing JSON object, sorted by key. Each value is stored as JSON text, so that a program that
/// sends only a loop guard needs no JSON tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct JsonObject(Vec<(String, Box<RawValue>)>);

impl JsonObject {
    /// Sets a value. The new value replaces an earlier value of the same key.
    pub(crate) fn set(&mut self, key: impl Into<String>, value: &impl Serialize) {
        // This cannot fail: all maps that are set here have strings as keys.
        if let Ok(value) = serde_json::value::to_raw_value(value) {
            self.put(key.into(), value);
        }
    }

    fn put(&mut self, key: String, value: Box<RawValue>) {
        match self.place(&key) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(key))
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.place(key).is_ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object as JSON text.
    pub(crate) fn to_json(&self) -> String {
        // This cannot fail: the values are JSON already.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A copy with these keys only.
    pub(crate) fn only(&self, keys: &[&str]) -> Self {
        let mut copy = self.clone();
        copy.0.retain(|(key, _)| keys.contains(&key.as_str()));
        copy
    }
}

impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self
                .0
                .iter()
                .zip(&other.0)
                .all(|(one, other)| one.0 == other.0 && one.1.get() == other.1.get())
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
