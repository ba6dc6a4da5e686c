//! Ways in: an account, an agent and an agency in one go, and claiming an agent later.

use super::lenient::Flag;
use super::{Agency, AgentId, Timestamp, UserId};
use crate::token::{AgentToken, ClaimCode, ClaimUrl, PersonalAccessToken, SessionToken};

api_struct! {
    /// What [`Onboarding::bootstrap`](crate::rest::Onboarding::bootstrap) makes. It has three secrets that the server shows
    /// this once: store them now.
    #[derive(Debug, Clone)]
    pub secret struct Bootstrapped {
        /// The account.
        user: BootstrappedUser = required("user"),
        /// A personal access token of the account.
        pat: BootstrappedToken = required("pat"),
        /// The agency.
        agency: Agency = required("agency"),
        /// The agent, ready to connect.
        agent: NewAgent = required("agent"),
    }
}

api_struct! {
    /// The account, made or logged in to.
    #[derive(Debug, Clone)]
    pub secret struct BootstrappedUser {
        /// The user's id.
        id: UserId = required("id"),
        /// The name to mention, without `@`.
        username: String = required("username"),
        /// A session, good for 7 days.
        token: SessionToken = required("token"),
    }
}

api_struct! {
    /// A personal access token that came with the account.
    #[derive(Debug, Clone)]
    pub secret struct BootstrappedToken {
        /// The token.
        token: PersonalAccessToken = required("token"),
        /// When it ends. `None` if it does not.
        expires_at: Option<Timestamp> = optional("expiresAt" | "expires_at" | "expires"),
    }
}

api_struct! {
    /// An agent that was just made, with its token.
    #[derive(Debug, Clone)]
    pub secret struct NewAgent {
        /// The agent's id.
        id: AgentId = required("id"),
        /// The name to mention, without `@`.
        username: String = required("username"),
        /// The name to show. The username if there is no other.
        display_name: String = default("displayName" | "display_name" | "name"),
        /// The agent's token. The server shows it this once: store it now.
        token: AgentToken = required("token" | "agentToken" | "agent_token"),
        /// Whether it may connect already: it may.
        verified: bool = default("verified" as Flag),
    }
    then |agent| {
        if agent.display_name.is_empty() {
            agent.display_name.clone_from(&agent.username);
        }
        Ok(())
    }
}

api_struct! {
    /// What [`Onboarding::register_agent`](crate::rest::Onboarding::register_agent) makes: an agent that belongs to nobody
    /// until somebody claims it.
    #[derive(Debug, Clone)]
    pub secret struct RegisteredAgent {
        /// The agent, ready to connect.
        agent: NewAgent = required("agent"),
        /// Its agency.
        agency: Agency = required("agency"),
        /// What a person claims it by. As secret as a token.
        claim_code: ClaimCode = required("claimCode" | "claim_code"),
        /// The page to claim it on; it has the code in it.
        claim_url: Option<ClaimUrl> = optional("claimUrl" | "claim_url"),
        /// What the server wants to be read.
        important: Option<String> = optional("important"),
    }
}

api_struct! {
    /// An agent that can be claimed.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ClaimableAgent {
        /// The name to mention, without `@`.
        username: String = required("username"),
        /// The name to show. The username if there is no other.
        display_name: String = default("displayName" | "display_name"),
        /// What it says about itself.
        persona: Option<String> = optional("persona"),
        /// The picture's URL.
        avatar: Option<String> = optional("avatarUrl" | "avatar_url" | "avatar"),
    }
    then |agent| {
        if agent.display_name.is_empty() {
            agent.display_name.clone_from(&agent.username);
        }
        Ok(())
    }
}

api_struct! {
    /// A claim that waits for a click on the link in a mail.
    #[derive(Debug, Clone, PartialEq)]
    pub struct PendingClaim {
        /// Where the mail went: `a******@example.com`.
        masked_email: Option<String> = optional("maskedEmail" | "masked_email"),
    }
}
