//! The error type of the crate.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an [`Error`], to match on. Returned by [`Error::kind`].
///
/// ```no_run
/// use crustocean::{Agent, ErrorKind};
///
/// match Agent::from_env() {
///     Ok(agent) => println!("connected as {}", agent.user().username),
///     Err(error) if error.kind() == ErrorKind::NotVerified => println!("verify the agent first"),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is not valid. The crate checks arguments before it sends anything. If only the server can check an
    /// argument, the kind is [`Server`](ErrorKind::Server), with the status 400.
    Invalid,
    /// A setting is not usable: a bad URL, a missing environment variable, or a TLS feature that this build lacks.
    Config,
    /// The server could not be reached, or the connection broke.
    Connect,
    /// The TLS handshake failed. The most common cause is a certificate that is not trusted.
    Tls,
    /// A time limit passed.
    Timeout,
    /// The token is wrong, expired or revoked (HTTP 401, or the socket was refused).
    Unauthorized,
    /// The agent has not been verified yet (HTTP 403 when its token is exchanged).
    NotVerified,
    /// The token is valid but does not permit this request (HTTP 403).
    Forbidden,
    /// The requested object does not exist (HTTP 404, or an unknown agency).
    NotFound,
    /// The request conflicts with the current state (HTTP 409). For example, a name is taken, or a run is already
    /// open in the room.
    Conflict,
    /// The client sent too many requests (HTTP 429). [`Error::retry_after`] returns the wait time, if known.
    RateLimited,
    /// Any other HTTP response that is not a success, such as 400 if the server refuses an argument.
    Server,
    /// The server sent an `error` event, or a command failed.
    Rejected,
    /// The server sent data that the protocol or the API does not allow.
    Protocol,
    /// The message was not sent. The program can safely send the message again.
    NotSent,
    /// The connection broke during the send. The message may or may not have arrived.
    MaybeSent,
    /// The agent was closed or has ended. [`Error::may_have_been_sent`] tells whether a message was being sent.
    Closed,
}

/// The error type of this crate.
///
/// An `Error` is one pointer wide. [`kind`](Error::kind) is for matching. `Display` writes what happened and what to
/// do. `{:?}` also writes the kind, and `{:#?}` the kind, HTTP status, wait time and cause.
/// [`source`](StdError::source) returns the cause, if any. No error contains a token, a password or a key.
///
/// # Examples
///
/// ```
/// # fn demo(error: crustocean::Error) {
/// if let Some(wait) = error.retry_after() {
///     std::thread::sleep(wait);
/// } else if error.is_auth() {
///     eprintln!("get a new token: {error}");
/// }
/// # }
/// ```
pub struct Error(Box<ErrorInner>);

struct ErrorInner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    status: Option<u16>,
    server_message: Option<String>,
    retry_after: Option<Duration>,
    request_id: Option<Box<str>>,
    /// A retry may work, although errors of this kind are usually not retryable.
    retryable: bool,
    /// A message was being sent when the agent was closed.
    cut_off: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// Data that a higher layer attached. This file does not know the type.
    detail: Option<Box<dyn Any + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::boxed(kind, message.into())
    }

    /// `#[cold]` keeps the compiler from inlining this function into its many callers. None of them is
    /// performance-critical.
    #[cold]
    fn boxed(kind: ErrorKind, message: Cow<'static, str>) -> Self {
        Error(Box::new(ErrorInner {
            kind,
            message,
            status: None,
            server_message: None,
            retry_after: None,
            request_id: None,
            retryable: false,
            cut_off: false,
            source: None,
            detail: None,
        }))
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

    pub(crate) fn timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Timeout, message)
    }

    /// The error of an operation that was not started, or that sends nothing.
    pub(crate) fn closed() -> Self {
        Self::new(
            ErrorKind::Closed,
            "this program has closed or stopped the agent or client: nothing more is sent",
        )
    }

    /// The error of a connection that was stopped before it was open.
    pub(crate) fn stopped_early() -> Self {
        Self::new(ErrorKind::Closed, "the agent was stopped before it was connected: nothing was sent")
    }

    /// The error of an operation that was running when the agent was closed. The operation may have had an effect.
    pub(crate) fn cut_off_by_close() -> Self {
        let text = "this program has closed or stopped the agent while this was under way: it may or may not have \
                    arrived, so check before you repeat it";
        let mut error = Self::new(ErrorKind::Closed, text);
        error.0.cut_off = true;
        error
    }

    pub(crate) fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.with_boxed_source(source.into())
    }

    #[cold]
    fn with_boxed_source(mut self, source: Box<dyn StdError + Send + Sync>) -> Self {
        self.0.source = Some(source);
        self
    }

    pub(crate) fn with_detail(mut self, detail: impl Any + Send + Sync) -> Self {
        self.0.detail = Some(Box::new(detail));
        self
    }

    pub(crate) fn detail<T: Any>(&self) -> Option<&T> {
        self.0.detail.as_deref()?.downcast_ref()
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(crate) fn with_server_message(mut self, message: impl Into<String>) -> Self {
        self.0.server_message = Some(message.into());
        self
    }

    /// Marks the error as retryable, although errors of its kind are not.
    pub(crate) fn with_retryable(mut self) -> Self {
        self.0.retryable = true;
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// Adds the request id to the error and to its message.
    pub(crate) fn with_request_id(self, id: &str) -> Self {
        let (kind, message) = (self.kind(), format!("{self} [request {id}]"));
        let mut error = self.reworded(kind, message);
        error.0.request_id = Some(id.into());
        error
    }

    /// Adds the number of attempts to the message.
    pub(crate) fn tried(self, times: u32) -> Self {
        let (kind, message) = (self.kind(), format!("{self} (tried {times} times)"));
        self.reworded(kind, message)
    }

    /// Replaces the kind and the message, for a layer that knows the cause better.
    pub(crate) fn reworded(mut self, kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.kind = kind;
        self.0.message = message.into();
        self
    }

    /// Applies `clean` to the message and to the server's message.
    pub(crate) fn cleaned(mut self, clean: impl Fn(&str) -> String) -> Self {
        self.0.message = clean(&self.0.message).into();
        self.0.server_message = self.0.server_message.as_deref().map(clean);
        self
    }

    /// Marks the error as raised after a part was sent: the kind becomes `MaybeSent`, or stays `Closed`.
    pub(crate) fn sent_in_part(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.cut_off = true;
        let kind = if self.is_closed() { ErrorKind::Closed } else { ErrorKind::MaybeSent };
        self.reworded(kind, message)
    }

    /// The kind of the error, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The HTTP status, if the server answered.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The server's own error text, if the server sent one: the `error` of a JSON response, the start of any other
    /// body, or the text of an `error` event.
    pub fn server_message(&self) -> Option<&str> {
        self.0.server_message.as_deref()
    }

    /// How long the server asks to wait before the next attempt (`Retry-After`), in whole seconds, at most 24 hours.
    /// If the server sent a date, the crate subtracts the time in the response's `Date` header. Without that header,
    /// the crate uses this machine's clock.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The server's id of the request (`X-Request-Id`), if the server sent one. The server's operator can look up the
    /// request by this id.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Whether a time limit passed.
    pub fn is_timeout(&self) -> bool {
        self.kind() == ErrorKind::Timeout
    }

    /// Whether the agent was closed or has ended.
    pub fn is_closed(&self) -> bool {
        self.kind() == ErrorKind::Closed
    }

    /// Whether the message may have arrived although the send failed: the connection broke
    /// ([`MaybeSent`](crate::ErrorKind::MaybeSent)), or the agent was closed during the send
    /// ([`Closed`](crate::ErrorKind::Closed)).
    pub fn may_have_been_sent(&self) -> bool {
        self.kind() == ErrorKind::MaybeSent || self.0.cut_off
    }

    /// Whether the token is the cause: the token is wrong, expired or revoked, or its agent is not verified.
    pub fn is_auth(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unauthorized | ErrorKind::NotVerified)
    }

    /// Whether the same call may work later. As far as the crate can tell, the server has not acted on the request.
    /// The exceptions are 502, 503 and 504: a proxy in front of the server sends these, and the proxy may have
    /// forwarded the request.
    ///
    /// [`MaybeSent`](crate::ErrorKind::MaybeSent) and an HTTP request that timed out are *not* retryable in this
    /// sense: the request or message may have had an effect.
    pub fn is_retryable(&self) -> bool {
        match self.kind() {
            ErrorKind::Connect | ErrorKind::RateLimited | ErrorKind::NotSent => true,
            ErrorKind::Server if matches!(self.status(), Some(502..=504)) => true,
            _ => self.0.retryable,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            // A program prints this form when `fn main() -> Result` returns the error.
            return write!(f, "{:?}: {}", self.0.kind, self.0.message);
        }
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("message", &self.0.message);
        if let Some(status) = self.0.status {
            out.field("status", &status);
        }
        if let Some(wait) = self.0.retry_after {
            out.field("retry_after", &wait);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn prints_its_own_layer_and_keeps_the_cause() {
        let cause = std::io::Error::other("the cable");
        let error = Error::new(ErrorKind::Connect, "cannot reach the server").with_source(cause);
        assert_eq!(error.to_string(), "cannot reach the server");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the cable"));
    }

    #[test]
    fn says_what_is_safe_to_repeat() {
        assert!(Error::new(ErrorKind::NotSent, "").is_retryable());
        assert!(Error::new(ErrorKind::Server, "").with_status(503).is_retryable());
        assert!(!Error::new(ErrorKind::Server, "").with_status(500).is_retryable());
        assert!(!Error::new(ErrorKind::MaybeSent, "").is_retryable());
        assert!(!Error::new(ErrorKind::Timeout, "").is_retryable());
    }
}
