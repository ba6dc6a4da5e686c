//! The optional fields of a request.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// The body of a request, built field by field. Unset fields are not sent; `null` is sent like any other value.
#[derive(Clone, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Sets a field; replaces an earlier value.
    pub(super) fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(key.into(), value.into());
    }

    /// Sets a field and returns the body.
    pub(super) fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(key, value);
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

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Shows only the keys, because values may be secrets.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
