//! Why a connection ended, and whether a send had any effect.

use std::fmt::Display;

use crate::error::Error;
use crate::net::Secrets;

/// Why a connection ended. `reason` is the official client's term, so that people can compare logs.
#[derive(Debug, Clone)]
pub(crate) struct Disconnect {
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
    /// The server itself ended the session: messages that are still in transit have no effect.
    pub(crate) by_server: bool,
}

impl Disconnect {
    pub(crate) fn new(reason: &'static str, detail: impl Display) -> Self {
        Disconnect { reason, detail: detail.to_string(), by_server: false }
    }

    /// The end of a connection whose server has ended the session itself.
    pub(crate) fn by_server(reason: &'static str) -> Self {
        Disconnect { by_server: true, ..Disconnect::new(reason, "the server ended the session") }
    }

    /// Removes secrets from `detail`, because a server may quote secrets when it closes the connection.
    pub(crate) fn without(self, secrets: &Secrets) -> Self {
        Disconnect { detail: secrets.remove_from(&self.detail), ..self }
    }
}

/// The terms of the official client.
pub(crate) mod reason {
    pub(crate) const TRANSPORT_CLOSE: &str = "transport close";
    pub(crate) const TRANSPORT_ERROR: &str = "transport error";
    pub(crate) const PING_TIMEOUT: &str = "ping timeout";
    pub(crate) const PARSE_ERROR: &str = "parse error";
    pub(crate) const SERVER_DISCONNECT: &str = "io server disconnect";
    pub(crate) const CLIENT_DISCONNECT: &str = "io client disconnect";
}

/// Why a send failed.
#[derive(Debug)]
pub(crate) enum SendFailure {
    /// The connection had ended before the first byte was written.
    NotSent(Disconnect),
    /// The connection broke during the write.
    MaybeSent(Disconnect),
    /// Nothing was written, because the write would have to wait. The connection is good.
    Busy(Disconnect),
    /// The packet itself is not valid. The connection is good.
    Refused(Error),
}

impl SendFailure {
    pub(crate) fn busy(what: &str) -> Self {
        SendFailure::Busy(Disconnect::new(reason::TRANSPORT_ERROR, what))
    }

    /// Converts the failure to the end of the connection, for a caller for which every failed send is the end.
    pub(crate) fn into_end(self) -> Disconnect {
        match self {
            SendFailure::NotSent(end) | SendFailure::MaybeSent(end) | SendFailure::Busy(end) => end,
            SendFailure::Refused(error) => Disconnect::new(reason::TRANSPORT_ERROR, error),
        }
    }
}
