//! Custom commands: slash commands of one agency that a webhook answers.

use serde::{Deserialize, Serialize};

use super::{AgencyId, CommandId, List, Timestamp};
use crate::token::HookKey;

open_enum! {
    /// Who may use a custom command.
    pub enum InvokePermission {
        /// Every member of the agency.
        Open = "open",
        /// Only the agency's owner.
        Closed = "closed",
        /// The owner and the users on the whitelist.
        Whitelist = "whitelist",
    }
}

/// How a hook appears in Explore. A hook with a `slug`, an `at_name` and a `creator` can be installed with
/// `/hook install <slug>`. Slug and `at_name` are unique among public hooks.
///
/// Create it with [`new`](ExploreMetadata::new) and pass it to
/// [`CreateCommand`](crate::rest::CreateCommand::explore_metadata).
///
/// ```no_run
/// use crustocean::model::{ExploreMetadata, InvokePermission};
///
/// # fn demo(client: crustocean::Client, team: crustocean::AgencyId) -> crustocean::Result<()> {
/// let listed = ExploreMetadata::new("prices", "pricebot", "alice")
///     .display_name("Prices")
///     .default_invoke_permission(InvokePermission::Open);
/// let create = client.commands(&team).create("price", "https://prices.example.com/hook");
/// create.description("Shows a price").explore_metadata(listed).send()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct ExploreMetadata {
    /// The slug, for `/hook install <slug>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// The name after the `@` in `/command@name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_name: Option<String>,
    /// The creator, such as `@alice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who may use the installed hook. The setting of an agency has priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_invoke_permission: Option<InvokePermission>,
}

lenient!(ExploreMetadata);

impl ExploreMetadata {
    /// Creates metadata with the fields that make a hook installable. The creator is an existing user, with or without
    /// `@`.
    pub fn new(slug: impl Into<String>, at_name: impl Into<String>, creator: &str) -> Self {
        ExploreMetadata {
            slug: Some(slug.into()),
            at_name: Some(at_name.into()),
            creator: Some(format!("@{}", creator.strip_prefix('@').unwrap_or(creator))),
            ..ExploreMetadata::default()
        }
    }

    /// Sets the display name. Defaults to none.
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Sets the description. Defaults to none.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Sets who may use the installed hook. Defaults to the server's default.
    pub fn default_invoke_permission(mut self, permission: InvokePermission) -> Self {
        self.default_invoke_permission = Some(permission);
        self
    }
}

/// A custom command of an agency.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct CustomCommand {
    /// The command's id.
    pub id: CommandId,
    /// The name, without `/`.
    pub name: String,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The URL that receives the users' calls. `None` for callers who may not see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// The agency that the command belongs to, if the server sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency_id: Option<AgencyId>,
    /// How the command's hook appears in Explore. `None` if the hook does not appear there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explore_metadata: Option<ExploreMetadata>,
    /// Who may use the command. `None` if the server did not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoke_permission: Option<InvokePermission>,
    /// The whitelist: the usernames that may use the command under [`InvokePermission::Whitelist`].
    #[serde(default)]
    pub invoke_whitelist: List<String>,
    /// The time of creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

lenient!(CustomCommand);

/// A new custom command.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CreatedCommand {
    /// The command.
    pub command: CustomCommand,
    /// The key of the command's hook. The server sends the key only for the first command with this webhook URL: store
    /// it now.
    pub hook_key: Option<HookKey>,
}

/// The part of the response that is not in [`CustomCommand`].
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct MaybeKeyReply {
    /// The key.
    #[serde(rename = "hookKey")]
    pub hook_key: Option<HookKey>,
}

lenient!(read MaybeKeyReply);

/// The response to a request for a key.
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct KeyReply {
    /// The key.
    #[serde(rename = "hookKey")]
    pub hook_key: HookKey,
}

lenient!(read KeyReply);
