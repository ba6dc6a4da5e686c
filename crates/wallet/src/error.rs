//! The error of everything but payments, which have one of their own: [`PaymentError`](crate::PaymentError).

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in one word to match on. See [`Error::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something passed in breaks a rule that is checked before anything is sent.
    Invalid,
    /// The set-up is wrong: an unusable URL, a missing environment variable, no client of the platform.
    Config,
    /// The node or server could not be reached, or the connection broke.
    Connect,
    /// A time limit passed.
    Timeout,
    /// The node answered with an error.
    Node,
    /// The node or server answered what makes no sense.
    Protocol,
    /// The node is on another chain than the wallet.
    WrongChain,
    /// There is not enough USDC, or not enough ether for the fee.
    Funds,
    /// The fee would be above the wallet's ceiling.
    Fee,
    /// The signer refused, or what it returned was not signed by its address.
    Signer,
    /// The platform said no: [`source`](StdError::source) is its [`crustocean::Error`].
    Platform,
    /// What a server asks money for is not what this crate pays: wrong asset, chain, scheme or method.
    Offer,
    /// A price is above a limit of [`X402`](crate::X402).
    Limit,
    /// The file of the daily sum cannot be read or written.
    Ledger,
}

/// What went wrong. [`kind`](Error::kind) is for matching, `Display` says what happened and what to do.
///
/// No key is ever part of it, nor the path or query of a node's URL, which often contain one.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Error(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn protocol(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Protocol, message)
    }

    pub(crate) fn platform(what: &str, source: crustocean::Error) -> Self {
        Self::new(ErrorKind::Platform, format!("{what}: {source}")).with_source(source)
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `fn main() -> Result` prints.
        write!(f, "{:?}: {}", self.0.kind, self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}
