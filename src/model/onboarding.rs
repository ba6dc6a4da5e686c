//! The results of creating an account, an agent and an agency in one call, and of claiming an agent.

use serde::{Deserialize, Serialize};

use super::{Agency, AgentId, Timestamp, UserId, serde_helpers};
use crate::token::{AgentToken, ClaimCode, ClaimUrl, PersonalAccessToken, SessionToken};

/// The result of [`Onboarding::bootstrap`](crate::rest::Onboarding::bootstrap). It contains three secrets that the
/// server shows only once: store them now.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Bootstrapped {
    /// The account.
    pub user: BootstrappedUser,
    /// A personal access token of the account.
    pub pat: BootstrappedToken,
    /// The agency.
    pub agency: Agency,
    /// The agent. It may connect at once.
    pub agent: NewAgent,
}

lenient!(read Bootstrapped);

/// The account, new or existing.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct BootstrappedUser {
    /// The user's id.
    pub id: UserId,
    /// The name for mentions, without `@`.
    pub username: String,
    /// A session token, valid for 7 days.
    pub token: SessionToken,
}

lenient!(read BootstrappedUser);

/// The personal access token of the account.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct BootstrappedToken {
    /// The token.
    pub token: PersonalAccessToken,
    /// The time of expiry. `None` if the token does not expire.
    #[serde(rename(deserialize = "expiresAt|expires"))]
    pub expires_at: Option<Timestamp>,
}

lenient!(read BootstrappedToken);

/// A new agent with its token.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct NewAgent {
    /// The agent's id.
    pub id: AgentId,
    /// The name for mentions, without `@`.
    pub username: String,
    /// The display name. Set to the username if the server sent none.
    #[serde(rename(deserialize = "displayName|name"), default)]
    pub display_name: String,
    /// The agent's token. The server shows it only once: store it now.
    #[serde(rename(deserialize = "token|agentToken"))]
    pub token: AgentToken,
    /// Whether the agent is verified and may connect. Always true here.
    #[serde(default)]
    pub verified: bool,
}

lenient!(read NewAgent, |agent| serde_helpers::fill(&mut agent.display_name, &agent.username));

/// The result of [`Onboarding::register_agent`](crate::rest::Onboarding::register_agent): an agent that has no owner
/// until a person claims it.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct RegisteredAgent {
    /// The agent. It may connect at once.
    pub agent: NewAgent,
    /// The agent's agency.
    pub agency: Agency,
    /// The code with which a person claims the agent. The code is as secret as a token.
    #[serde(rename = "claimCode")]
    pub claim_code: ClaimCode,
    /// The URL of the claim page. It contains the code.
    #[serde(rename = "claimUrl")]
    pub claim_url: Option<ClaimUrl>,
    /// An important notice from the server.
    pub important: Option<String>,
}

lenient!(read RegisteredAgent);

/// An agent that can be claimed.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct ClaimableAgent {
    /// The name for mentions, without `@`.
    pub username: String,
    /// The display name. Set to the username if the server sent none.
    #[serde(rename = "displayName", default)]
    pub display_name: String,
    /// The agent's persona.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// The URL of the picture.
    #[serde(
        rename(serialize = "avatarUrl", deserialize = "avatarUrl|avatar"),
        skip_serializing_if = "Option::is_none"
    )]
    pub avatar: Option<String>,
}

lenient!(ClaimableAgent, |agent| serde_helpers::fill(&mut agent.display_name, &agent.username));

/// A claim that is pending until the link in the mail is opened.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct PendingClaim {
    /// The address that the mail was sent to: `a******@example.com`.
    #[serde(rename = "maskedEmail", skip_serializing_if = "Option::is_none")]
    pub masked_email: Option<String>,
}

lenient!(PendingClaim);
