//! The account of a socket.

/// The account of a connected socket.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) account: String,
    pub(crate) username: String,
}
