//! Invites to an agency.

/// A code that opens an agency.
#[derive(Debug)]
pub(crate) struct Invite {
    pub(crate) agency: String,
    pub(crate) uses_left: u64,
    pub(crate) expires_at: Option<u64>,
}
