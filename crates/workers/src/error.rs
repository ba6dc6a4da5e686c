//! The error type of the crate.

use std::error::Error as StdError;
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The category of an [`Error`], to match on. Returned by [`Error::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument, or a setting in Redis, breaks a rule. The message says which rule.
    Invalid,
    /// Redis cannot be reached, or did not answer in time. Calls that wait retry automatically.
    Unreachable,
    /// Redis refused a command: it is out of memory, asks for a password, or is still loading its data.
    Refused,
    /// Another process holds the lease now, or the term has ended. The call wrote nothing.
    LeaseLost,
    /// The platform or the SDK reported an error. [`source`](StdError::source) is the [`crustocean::Error`].
    Platform,
    /// The system started no thread. Calls that wait retry automatically.
    System,
}

/// An error of this crate.
///
/// `Display` says what happened and what to do. [`source`](StdError::source) is the cause, where there is one. Neither
/// contains the URL of Redis or its password.
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
        Self::new(ErrorKind::LeaseLost, "the lease is not held any more, so nothing was written")
    }

    pub(crate) fn no_thread(cause: std::io::Error) -> Self {
        Self::new(ErrorKind::System, format!("the system gave no thread: {cause}")).with_source(cause)
    }

    pub(crate) fn unexpected() -> Self {
        Self::invalid(
            "Redis gave an unexpected answer to a script: check that the server is Redis 7.0 or newer",
        )
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The category of the error, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error of the platform or the SDK, if that is the cause.
    pub(crate) fn platform(&self) -> Option<&crustocean::Error> {
        self.source.as_ref()?.downcast_ref()
    }

    /// Whether the same call may succeed a moment later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unreachable | ErrorKind::Refused | ErrorKind::System)
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
        let (kind, message) = if is_from_server(&error) {
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

/// Whether Redis itself answered with this error, so that the connection is still usable.
pub(crate) fn is_from_server(error: &redis::RedisError) -> bool {
    error.code().is_some()
}
