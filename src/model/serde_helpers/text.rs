//! Values in their JSON text.

use serde::de::{Deserializer, Error};

use super::read_error::ReadError;
use crate::json;

/// Reads a value from its JSON text, which is valid but may contain lone surrogates.
pub(crate) fn text_of<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    read: impl FnOnce(&str) -> Result<T, ReadError>,
) -> Result<T, D::Error> {
    read(&json::text_of(deserializer)?).map_err(D::Error::custom)
}

/// The text of a string value.
pub(crate) fn string_in(json: &str) -> Option<String> {
    json.trim_start().starts_with('"').then(|| json::from_str(json).ok())?
}
