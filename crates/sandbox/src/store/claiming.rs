//! Which agents can still be claimed.

use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::store::claims::Link;
use crate::store::data::Data;

impl Data {
    pub(crate) fn is_claimed(&self, agent: &str) -> bool {
        let agent = self.accounts.get(agent).ok().and_then(|account| account.agent.as_ref());
        agent.is_none_or(|agent| agent.owner.is_some())
    }

    pub(crate) fn is_pending(&self, link: &Link) -> bool {
        link.expires_at > clock::now_ms() && !self.is_claimed(&link.agent)
    }

    pub(crate) fn pending_claims(&self) -> usize {
        self.claims.links.iter().filter(|link| self.is_pending(link)).count()
    }

    /// The agent of a claim code that can still be used.
    pub(crate) fn claimable(&self, code: &str) -> ApiResult<String> {
        let unknown = || ApiError::not_found("Unknown or expired claim code");
        let agent = self.claims.codes.get(code).ok_or_else(unknown)?;
        self.accounts.get(agent).map_err(|_| unknown())?;
        if self.is_claimed(agent) {
            return Err(ApiError::conflict("This agent has been claimed already"));
        }
        Ok(agent.clone())
    }
}
