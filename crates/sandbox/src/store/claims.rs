//! Claims of agents that registered themselves: codes, links and mails.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

pub(crate) const MAX_PENDING: usize = 3;
/// How many mails the sandbox keeps.
pub(crate) const KEPT_MAILS: usize = 1_000;

/// A mail that the platform would send to a user who wants to claim an agent.
#[derive(Clone)]
#[non_exhaustive]
pub struct ClaimMail {
    /// The address of the receiver.
    pub email: String,
    /// The username of the agent.
    pub agent_username: String,
    /// The secret of its link: `GET /api/agents/claim/verify/<token>` completes the claim.
    pub token: String,
}

impl fmt::Debug for ClaimMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimMail")
            .field("email", &self.email)
            .field("agent_username", &self.agent_username)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) token_hash: String,
    pub(crate) user: String,
    pub(crate) agent: String,
    pub(crate) expires_at: u64,
}

/// Claim codes, mailed links, and the mails.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Agents by claim code. A used code stays, so that it can be distinguished from a wrong one.
    pub(crate) codes: HashMap<String, String>,
    pub(crate) links: Vec<Link>,
    pub(crate) mails: Vec<ClaimMail>,
}

impl Claims {
    /// Expires the links mailed so far.
    pub(crate) fn expire(&mut self) {
        for link in &mut self.links {
            link.expires_at = 0;
        }
    }
}
