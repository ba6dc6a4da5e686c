//! The error type of everything except payments, which have [`PaymentError`](crate::PaymentError).

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an [`Error`], to match on. Returned by [`Error::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is not valid. The crate checks it before it sends anything.
    Invalid,
    /// A setting is not usable: a bad URL, a missing environment variable, no platform client.
    Config,
    /// The node or server could not be reached, or the connection broke.
    Connect,
    /// A time limit passed.
    Timeout,
    /// The node answered with an error.
    Node,
    /// The node's or server's response is not valid.
    Protocol,
    /// The node's chain is not the wallet's chain.
    WrongChain,
    /// There is not enough USDC, or not enough ether for the fee.
    Funds,
    /// The fee would exceed the wallet's limit.
    Fee,
    /// The signer refused, or its signature is not by its address.
    Signer,
    /// The platform returned an error: [`source`](StdError::source) is the [`crustocean::Error`].
    Platform,
    /// The crate cannot pay a server's demand: wrong asset, chain, scheme or method.
    Offer,
    /// The price exceeds a limit of [`X402`](crate::X402).
    Limit,
    /// The file with the daily sum cannot be read or written.
    Ledger,
}

/// The error type of this crate. [`kind`](Error::kind) is for matching, `Display` says what happened and what to do.
///
/// An error never contains a private key, nor the path or query of a node's URL, which often contains an access key.
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

    /// The kind of the error, to match on.
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
        // `fn main() -> Result` prints this.
        write!(f, "{:?}: {}", self.0.kind, self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}
