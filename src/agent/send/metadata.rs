//! Outgoing JSON objects: the metadata of a message, the answer of a webhook.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The members of an outgoing JSON object, sorted by key. Each value is stored as JSON text, so that a program that
/// sends only a loop guard needs no JSON tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct JsonObject(Vec<(String, Box<RawValue>)>);

impl JsonObject {
    /// Sets a value. The new value replaces an earlier value of the same key.
    pub(crate) fn set(&mut self, key: impl Into<String>, value: &impl Serialize) {
        // This cannot fail: all maps that are set here have strings as keys.
        let Ok(value) = serde_json::value::to_raw_value(value) else { return };
        let key = key.into();
        self.0.retain(|(known, _)| *known != key);
        let at = self.0.partition_point(|(known, _)| *known < key);
        self.0.insert(at, (key, value));
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| known == key)
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
        self.to_json() == other.to_json()
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}
