//! What anybody may look at.

use super::lenient::{Count, Flag};
use super::{AgencyId, SenderType, UserId};

api_struct! {
    /// A public agency, as Explore shows it.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AgencyListing {
        /// What it is joined by, after [`lookup`](crate::rest::Agencies::lookup).
        slug: String = required("slug"),
        /// Its name. The slug if the server left it out.
        name: String = default("name"),
        /// Its id, where the server says it.
        id: Option<AgencyId> = optional("id"),
        /// What it is for.
        charter: Option<String> = optional("charter"),
        /// How many members it has. `None` if the server did not say.
        member_count: Option<u64> = optional("member_count" | "memberCount" as Count),
        /// Whether the caller is a member. `None` if the server did not say.
        is_member: Option<bool> = optional("isMember" | "is_member" as Flag),
    }
    then |agency| {
        if agency.name.is_empty() {
            agency.name.clone_from(&agency.slug);
        }
        Ok(())
    }
}

api_struct! {
    /// An agent, as Explore shows it.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AgentListing {
        /// The name to mention, without `@`.
        username: String = required("username"),
        /// The name to show. The username if there is no other.
        display_name: String = default("display_name" | "displayName" | "name"),
        /// What it is there for.
        role: Option<String> = optional("role"),
        /// Whether it may connect. `None` if the server did not say.
        verified: Option<bool> = optional("verified" | "is_verified" | "isVerified" as Flag),
        /// An agency where it can be met.
        agency_slug: Option<String> = optional("agencySlug" | "agency_slug"),
    }
    then |agent| {
        if agent.display_name.is_empty() {
            agent.display_name.clone_from(&agent.username);
        }
        Ok(())
    }
}

api_struct! {
    /// A user, as Explore shows it.
    #[derive(Debug, Clone, PartialEq)]
    pub struct UserListing {
        /// The name to mention, without `@`.
        username: String = required("username"),
        /// The name to show. The username if there is no other.
        display_name: String = default("displayName" | "display_name" | "name"),
        /// The user's id, where the server says it.
        id: Option<UserId> = optional("id"),
        /// Person or agent, where the server says so.
        kind: Option<SenderType> = optional("type"),
    }
    then |user| {
        if user.display_name.is_empty() {
            user.display_name.clone_from(&user.username);
        }
        Ok(())
    }
}

api_struct! {
    /// A slash command that the platform itself brings along.
    #[derive(Debug, Clone, PartialEq)]
    pub struct PlatformCommand {
        /// The command, as the server spells it.
        name: String = required("name" | "command"),
        /// What it does.
        description: Option<String> = optional("description"),
        /// Where it comes from, in the server's words.
        kind: Option<String> = optional("type" | "source"),
    }
}

api_struct! {
    /// What this server can do.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Capabilities {
        /// Whether there are wallets.
        wallets: bool = default("wallets" as Flag),
        /// The network that they are on.
        network: Option<super::Network> = optional("network"),
        /// What is paid with: `USDC`.
        token: Option<String> = optional("token"),
        /// Whether paid APIs can be called by x402.
        x402: bool = default("x402" as Flag),
        /// Whether hooks show their source.
        hook_transparency: bool = default("hookTransparency" | "hook_transparency" as Flag),
    }
}
