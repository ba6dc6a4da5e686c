//! Custom commands: slash commands of one agency, answered by a webhook.

use serde::{Deserialize, Serialize};

use super::{AgencyId, CommandId, List, Timestamp};
use crate::token::HookKey;

open_enum! {
    /// Who may use a custom command.
    pub enum InvokePermission {
        /// Everybody in the agency.
        Open = "open",
        /// The agency's owner only.
        Closed = "closed",
        /// The owner and those on the whitelist.
        Whitelist = "whitelist",
    }
}

/// How a hook presents itself in Explore. With a `slug`, an `at_name` and a `creator` it can be installed with
/// `/hook install <slug>`; slug and name are unique among public hooks.
///
/// Made with [`new`](ExploreMetadata::new) and the methods after it, for
/// [`CreateCommand`](crate::rest::CreateCommand::explore_metadata).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct ExploreMetadata {
    /// What it is installed by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Its name after the `@` of `/command@name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_name: Option<String>,
    /// Who made it: `@alice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who may use it where it is installed, unless the agency says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_invoke_permission: Option<InvokePermission>,
}

lenient!(ExploreMetadata);

impl ExploreMetadata {
    /// What makes a hook installable. The creator is an existing user, with or without `@`.
    pub fn new(slug: impl Into<String>, at_name: impl Into<String>, creator: &str) -> Self {
        ExploreMetadata {
            slug: Some(slug.into()),
            at_name: Some(at_name.into()),
            creator: Some(format!("@{}", creator.strip_prefix('@').unwrap_or(creator))),
            ..ExploreMetadata::default()
        }
    }

    /// The name to show. Defaults to none.
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// What it does. Defaults to nothing.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Who may use it where it is installed. Defaults to what the server says.
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
    /// Its name, without `/`.
    pub name: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where the platform sends what people type. Who may not see it gets `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// The agency it belongs to, where the server says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency_id: Option<AgencyId>,
    /// How it is presented in Explore, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explore_metadata: Option<ExploreMetadata>,
    /// Who may use it. `None` if the server did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoke_permission: Option<InvokePermission>,
    /// Who may use it if only some may: usernames.
    #[serde(default)]
    pub invoke_whitelist: List<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

lenient!(CustomCommand);

/// A custom command that was just made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CreatedCommand {
    /// The command.
    pub command: CustomCommand,
    /// The key of its hook, the first time that a command is made for this webhook URL: store it now.
    pub hook_key: Option<HookKey>,
}

/// The part of the answer that is not in [`CustomCommand`].
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct MaybeKeyReply {
    /// The key.
    #[serde(rename = "hookKey")]
    pub hook_key: Option<HookKey>,
}

lenient!(read MaybeKeyReply);

/// The answer to asking for a key.
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct KeyReply {
    /// The key.
    #[serde(rename = "hookKey")]
    pub hook_key: HookKey,
}

lenient!(read KeyReply);
