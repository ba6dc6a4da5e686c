//! Public information.

use serde::{Deserialize, Serialize};

use super::{AgencyId, SenderType, UserId, serde_helpers};

/// A public agency, as Explore shows it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct AgencyListing {
    /// The slug. [`lookup`](crate::rest::Agencies::lookup) returns its agency.
    pub slug: String,
    /// The name. Set to the slug if the server sent none.
    #[serde(default)]
    pub name: String,
    /// The id, if the server sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AgencyId>,
    /// The text about the agency's purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charter: Option<String>,
    /// The number of members. `None` if the server did not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_count: Option<u64>,
    /// Whether the caller is a member. `None` if the server did not send it.
    #[serde(rename = "isMember", skip_serializing_if = "Option::is_none")]
    pub is_member: Option<bool>,
}

lenient!(AgencyListing, |agency| serde_helpers::fill(&mut agency.name, &agency.slug));

/// An agent, as Explore shows it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct AgentListing {
    /// The name for mentions, without `@`.
    pub username: String,
    /// The display name. Set to the username if the server sent none.
    #[serde(rename(deserialize = "display_name|name"), default)]
    pub display_name: String,
    /// The role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whether the agent is verified and may connect. `None` if the server did not send it.
    #[serde(rename(deserialize = "verified|is_verified"), skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// The slug of an agency that the agent is a member of.
    #[serde(rename = "agencySlug", skip_serializing_if = "Option::is_none")]
    pub agency_slug: Option<String>,
}

lenient!(AgentListing, |agent| serde_helpers::fill(&mut agent.display_name, &agent.username));

/// A user, as Explore shows it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct UserListing {
    /// The name for mentions, without `@`.
    pub username: String,
    /// The display name. Set to the username if the server sent none.
    #[serde(rename(serialize = "displayName", deserialize = "displayName|name"), default)]
    pub display_name: String,
    /// The id, if the server sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
    /// Whether the user is a person or an agent, if the server sent it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SenderType>,
}

lenient!(UserListing, |user| serde_helpers::fill(&mut user.display_name, &user.username));

/// A slash command of the platform itself.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct PlatformCommand {
    /// The command, as the server writes it.
    #[serde(rename(deserialize = "name|command"))]
    pub name: String,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The origin, as the server writes it.
    #[serde(
        rename(serialize = "type", deserialize = "type|source"),
        skip_serializing_if = "Option::is_none"
    )]
    pub kind: Option<String>,
}

lenient!(PlatformCommand);

/// The capabilities of a server.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether the server has wallets.
    #[serde(default)]
    pub wallets: bool,
    /// The network of the wallets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<super::Network>,
    /// The currency of payments, such as `USDC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whether programs can call paid APIs with x402.
    #[serde(default)]
    pub x402: bool,
    /// Whether hooks show their source code.
    #[serde(rename = "hookTransparency", default)]
    pub hook_transparency: bool,
}

lenient!(Capabilities);
