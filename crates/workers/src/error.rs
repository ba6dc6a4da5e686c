//! The one error type of the crate.

use std::error::Error as StdError;
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in one word to match on. See [`Error::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something passed in, or set up in Redis before, breaks a rule. The message says which.
    Invalid,
    /// Redis cannot be reached, or did not answer in time. It is tried again by itself where that makes sense.
    Unreachable,
    /// Redis refused a command: it is out of memory, wants a password, is still loading.
    Refused,
    /// The lease is held by somebody else now, or its term is over. Nothing was written.
    LeaseLost,
    /// The platform, or the SDK, said no: [`source`](StdError::source) is a [`crustocean::Error`].
    Platform,
}

/// Everything that can go wrong in this crate.
///
/// `Display` says what happened and what to do; [`source`](StdError::source) has the cause where there is one. The URL
/// of Redis and its password are never part of it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn lease_lost() -> Self {
        Self::new(ErrorKind::LeaseLost, "the lease is not held any more: nothing was written")
    }

    pub(crate) fn unexpected() -> Self {
        Self::invalid(
            "Redis answers a script with something else than expected: is it a Redis of 7.0 or newer?",
        )
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the platform or the SDK said, if it comes from there.
    pub(crate) fn platform(&self) -> Option<&crustocean::Error> {
        self.source.as_ref()?.downcast_ref()
    }

    /// Whether the same may work a moment later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unreachable | ErrorKind::Refused)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        let (kind, message) = if is_of_the_server(&error) {
            (ErrorKind::Refused, format!("Redis refuses: {error}"))
        } else {
            (ErrorKind::Unreachable, format!("Redis cannot be reached, or did not answer in time: {error}"))
        };
        Error::new(kind, message).with_source(error)
    }
}

impl From<crustocean::Error> for Error {
    fn from(error: crustocean::Error) -> Self {
        Error::new(ErrorKind::Platform, error.to_string()).with_source(error)
    }
}

/// Whether Redis has answered: the connection is as good as before.
pub(crate) fn is_of_the_server(error: &redis::RedisError) -> bool {
    error.code().is_some()
}
