//! The address that a session connects to.

use std::time::Duration;

use crate::net::{ApiUrl, Dialer, Secrets};
use crate::socket::transport::choice::Transport;

/// Where and how to connect.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) dialer: Dialer,
    pub(crate) url: ApiUrl,
    pub(crate) user_agent: String,
    /// The time limit for DNS, TCP, TLS, upgrade and open packet together, and again for the answer to CONNECT. The
    /// official client waits for that answer without a limit.
    pub(crate) dial_timeout: Duration,
    pub(crate) transport: Transport,
    /// Secrets to remove from all texts of the server.
    pub(crate) secrets: Secrets,
}

/// The characters of an external name that are allowed in a header.
pub(crate) fn header_value(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && c.is_ascii()).collect()
}
