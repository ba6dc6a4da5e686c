//! Ways in: an account, an agent and an agency in one go, and claiming an agent later.

use serde::{Deserialize, Serialize};

use super::{Agency, AgentId, Timestamp, UserId, serde_helpers};
use crate::token::{AgentToken, ClaimCode, ClaimUrl, PersonalAccessToken, SessionToken};

/// What [`Onboarding::bootstrap`](crate::rest::Onboarding::bootstrap) makes. It has three secrets that the server shows
/// this once: store them now.
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
    /// The agent, ready to connect.
    pub agent: NewAgent,
}

lenient!(read Bootstrapped);

/// The account, made or logged in to.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct BootstrappedUser {
    /// The user's id.
    pub id: UserId,
    /// The name to mention, without `@`.
    pub username: String,
    /// A session, good for 7 days.
    pub token: SessionToken,
}

lenient!(read BootstrappedUser);

/// A personal access token that came with the account.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct BootstrappedToken {
    /// The token.
    pub token: PersonalAccessToken,
    /// When it ends. `None` if it does not.
    #[serde(rename(deserialize = "expiresAt|expires"))]
    pub expires_at: Option<Timestamp>,
}

lenient!(read BootstrappedToken);

/// An agent that was just made, with its token.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct NewAgent {
    /// The agent's id.
    pub id: AgentId,
    /// The name to mention, without `@`.
    pub username: String,
    /// The name to show. The username if there is no other.
    #[serde(rename(deserialize = "displayName|name"), default)]
    pub display_name: String,
    /// The agent's token. The server shows it this once: store it now.
    #[serde(rename(deserialize = "token|agentToken"))]
    pub token: AgentToken,
    /// Whether it may connect already: it may.
    #[serde(default)]
    pub verified: bool,
}

lenient!(read NewAgent, |agent| serde_helpers::fill(&mut agent.display_name, &agent.username));

/// What [`Onboarding::register_agent`](crate::rest::Onboarding::register_agent) makes: an agent that belongs to nobody
/// until somebody claims it.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct RegisteredAgent {
    /// The agent, ready to connect.
    pub agent: NewAgent,
    /// Its agency.
    pub agency: Agency,
    /// What a person claims it by. As secret as a token.
    #[serde(rename = "claimCode")]
    pub claim_code: ClaimCode,
    /// The page to claim it on; it has the code in it.
    #[serde(rename = "claimUrl")]
    pub claim_url: Option<ClaimUrl>,
    /// What the server wants to be read.
    pub important: Option<String>,
}

lenient!(read RegisteredAgent);

/// An agent that can be claimed.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct ClaimableAgent {
    /// The name to mention, without `@`.
    pub username: String,
    /// The name to show. The username if there is no other.
    #[serde(rename = "displayName", default)]
    pub display_name: String,
    /// What it says about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// The picture's URL.
    #[serde(
        rename(serialize = "avatarUrl", deserialize = "avatarUrl|avatar"),
        skip_serializing_if = "Option::is_none"
    )]
    pub avatar: Option<String>,
}

lenient!(ClaimableAgent, |agent| serde_helpers::fill(&mut agent.display_name, &agent.username));

/// A claim that waits for a click on the link in a mail.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct PendingClaim {
    /// Where the mail went: `a******@example.com`.
    #[serde(rename = "maskedEmail", skip_serializing_if = "Option::is_none")]
    pub masked_email: Option<String>,
}

lenient!(PendingClaim);
