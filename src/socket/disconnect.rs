//! Why a connection ended, and what that means for what was being sent.

use crate::error::Error;
use crate::net::Secrets;

/// Why a connection ended. `reason` is the official client's word, so that logs can be compared.
#[derive(Debug, Clone)]
pub(crate) struct Disconnect {
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
    /// The server itself has ended the session: nothing that is still under way is carried out.
    pub(crate) told: bool,
}

impl Disconnect {
    pub(crate) fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Disconnect { reason, detail: detail.into(), told: false }
    }

    /// The server has ended the session in so many words.
    pub(crate) fn told(reason: &'static str) -> Self {
        Disconnect { told: true, ..Disconnect::new(reason, "the server ended the session") }
    }

    /// Without what nobody may see: a server may quote it when it closes.
    pub(crate) fn without(self, secrets: &Secrets) -> Self {
        Disconnect { detail: secrets.remove_from(&self.detail), ..self }
    }
}

/// The words of the official client.
pub(crate) mod reason {
    pub(crate) const TRANSPORT_CLOSE: &str = "transport close";
    pub(crate) const TRANSPORT_ERROR: &str = "transport error";
    pub(crate) const PING_TIMEOUT: &str = "ping timeout";
    pub(crate) const PARSE_ERROR: &str = "parse error";
    pub(crate) const SERVER_DISCONNECT: &str = "io server disconnect";
    pub(crate) const CLIENT_DISCONNECT: &str = "io client disconnect";
}

/// How a send ended that did not reach the socket whole.
#[derive(Debug)]
pub(crate) enum SendFailure {
    /// The connection was over before a byte was written.
    NotSent(Disconnect),
    /// It broke during the write.
    MaybeSent(Disconnect),
    /// Nothing was written, because that would have meant to wait; the connection lives.
    Busy(Disconnect),
    /// The packet itself is at fault; the connection lives.
    Refused(Error),
}
