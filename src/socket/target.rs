//! Where a session connects to.

use std::time::Duration;

use crate::net::{ApiUrl, Dialer, Secrets};
use crate::socket::transport::choice::Transport;

/// Where to connect, and how.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) dialer: Dialer,
    pub(crate) url: ApiUrl,
    pub(crate) user_agent: String,
    /// DNS, TCP, TLS, upgrade and open packet together; then once more for the answer to CONNECT, for which the
    /// official client would wait for ever.
    pub(crate) dial_timeout: Duration,
    pub(crate) transport: Transport,
    /// What is taken out of everything that the server says.
    pub(crate) secrets: Secrets,
}
