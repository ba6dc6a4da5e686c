//! The layer above a session, as the session sees it.

use crate::error::Result;
use crate::socket::session::connection_handle::ConnectionHandle;

/// The callbacks of the layer above: the credentials, and the state to restore on a new connection. They run on the
/// thread that dials, without any lock.
pub(crate) trait Host: Send + Sync {
    /// The payload of CONNECT, a JSON object. `refused`: the server refused the last payload.
    ///
    /// # Errors
    /// An error about the credentials ([`Error::is_auth`](crate::Error::is_auth)) ends the session. After any other
    /// error the session tries again later.
    fn credentials(&self, refused: bool) -> Result<String>;

    /// Restores the state on a new connection after a loss, before any other thread may send on that connection.
    ///
    /// # Errors
    /// An error ends the connection; the session then reconnects.
    fn restore(&self, connection: &ConnectionHandle<'_>) -> Result<()>;
}
