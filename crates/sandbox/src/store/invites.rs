//! Invites to an agency.

use serde::{Deserialize, Serialize};
/// A code with which accounts join an agency.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Invite {
    pub(crate) agency: String,
    pub(crate) uses_left: u64,
    pub(crate) expires_at: Option<u64>,
}
