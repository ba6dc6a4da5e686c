//! The optional fields of a request.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// The body of a request, built field by field. It omits unset fields, and contains `null` like any other value.
#[derive(Clone, Default, Serialize)]
pub(super) struct RequestFields(Map<String, Value>);

impl RequestFields {
    /// Sets a field; replaces an earlier value.
    pub(super) fn with(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        // This cannot fail: all maps that are set here have strings as keys.
        self.0.insert(key.into(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// A field's value if it is a text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// A list of texts as a value.
    pub(super) fn list<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Value {
        texts.into_iter().map(|text| Value::String(text.into())).collect()
    }
}

/// Shows only the keys, because values may be secrets.
impl fmt::Debug for RequestFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
