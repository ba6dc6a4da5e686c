//! Why a value cannot be decoded.

use std::fmt;

use serde::de::{Error, Unexpected};

use super::keys::first_of;

/// Why a value cannot be decoded. The error never contains a part of the value.
#[derive(Debug)]
pub(crate) struct ReadError(pub(super) Box<ReadErrorReason>);

#[derive(Debug)]
pub(super) enum ReadErrorReason {
    /// An object has no such key.
    Missing(&'static str),
    Other(String),
}

impl ReadError {
    pub(crate) fn new(text: &str) -> Self {
        ReadError(Box::new(ReadErrorReason::Other(text.to_owned())))
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            ReadErrorReason::Missing(field) => write!(f, "missing field `{}`", first_of(field)),
            ReadErrorReason::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ReadError {}

impl Error for ReadError {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Self {
        ReadError(Box::new(ReadErrorReason::Other(text.to_string())))
    }

    #[cold]
    fn missing_field(field: &'static str) -> Self {
        ReadError(Box::new(ReadErrorReason::Missing(field)))
    }

    #[cold]
    fn duplicate_field(field: &'static str) -> Self {
        ReadError::new(&format!("duplicate field `{field}`"))
    }

    #[cold]
    fn invalid_type(_: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        ReadError(Box::new(ReadErrorReason::Other(format!("expected {expected}"))))
    }

    #[cold]
    fn invalid_value(_: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        ReadError(Box::new(ReadErrorReason::Other(format!("expected {expected}"))))
    }
}

/// serde_json's error text may contain a value, so this conversion takes only the error's position.
impl From<serde_json::Error> for ReadError {
    #[cold]
    fn from(error: serde_json::Error) -> Self {
        let what = match error.is_data() {
            true => "a value does not fit",
            false => "the JSON is not valid, or it is nested too deeply",
        };
        // An error about a `Value` has no line.
        ReadError(Box::new(ReadErrorReason::Other(match error.line() {
            0 => what.to_owned(),
            line => format!("{what} (line {line}, column {})", error.column()),
        })))
    }
}
