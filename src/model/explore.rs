//! What anybody may look at.

use serde::{Deserialize, Serialize};

use super::{AgencyId, SenderType, UserId, serde_helpers};

/// A public agency, as Explore shows it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct AgencyListing {
    /// What it is joined by, after [`lookup`](crate::rest::Agencies::lookup).
    pub slug: String,
    /// Its name. The slug if the server left it out.
    #[serde(default)]
    pub name: String,
    /// Its id, where the server says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AgencyId>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charter: Option<String>,
    /// How many members it has. `None` if the server did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_count: Option<u64>,
    /// Whether the caller is a member. `None` if the server did not say.
    #[serde(rename = "isMember", skip_serializing_if = "Option::is_none")]
    pub is_member: Option<bool>,
}

lenient!(AgencyListing, |agency| serde_helpers::fill(&mut agency.name, &agency.slug));

/// An agent, as Explore shows it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct AgentListing {
    /// The name to mention, without `@`.
    pub username: String,
    /// The name to show. The username if there is no other.
    #[serde(rename(deserialize = "display_name|name"), default)]
    pub display_name: String,
    /// What it is there for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whether it may connect. `None` if the server did not say.
    #[serde(rename(deserialize = "verified|is_verified"), skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// An agency where it can be met.
    #[serde(rename = "agencySlug", skip_serializing_if = "Option::is_none")]
    pub agency_slug: Option<String>,
}

lenient!(AgentListing, |agent| serde_helpers::fill(&mut agent.display_name, &agent.username));

/// A user, as Explore shows it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct UserListing {
    /// The name to mention, without `@`.
    pub username: String,
    /// The name to show. The username if there is no other.
    #[serde(rename(serialize = "displayName", deserialize = "displayName|name"), default)]
    pub display_name: String,
    /// The user's id, where the server says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
    /// Person or agent, where the server says so.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SenderType>,
}

lenient!(UserListing, |user| serde_helpers::fill(&mut user.display_name, &user.username));

/// A slash command that the platform itself brings along.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct PlatformCommand {
    /// The command, as the server spells it.
    #[serde(rename(deserialize = "name|command"))]
    pub name: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it comes from, in the server's words.
    #[serde(
        rename(serialize = "type", deserialize = "type|source"),
        skip_serializing_if = "Option::is_none"
    )]
    pub kind: Option<String>,
}

lenient!(PlatformCommand);

/// What this server can do.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether there are wallets.
    #[serde(default)]
    pub wallets: bool,
    /// The network that they are on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<super::Network>,
    /// What is paid with: `USDC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whether paid APIs can be called by x402.
    #[serde(default)]
    pub x402: bool,
    /// Whether hooks show their source.
    #[serde(rename = "hookTransparency", default)]
    pub hook_transparency: bool,
}

lenient!(Capabilities);
