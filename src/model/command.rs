//! Custom commands: slash commands of one agency, answered by a webhook.

use super::lenient::MaybeText;
use super::{AgencyId, CommandId, Timestamp};
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

api_struct! {
    /// How a hook presents itself in Explore. With a `slug`, an `at_name` and a `creator` it can be installed with
    /// `/hook install <slug>`; slug and name are unique among public hooks.
    ///
    /// Made with [`new`](ExploreMetadata::new) and the methods after it, for
    /// [`CreateCommand`](crate::rest::CreateCommand::explore_metadata).
    #[derive(Debug, Clone, Default, PartialEq)]
    pub struct ExploreMetadata {
        /// What it is installed by.
        slug: Option<String> = optional("slug"),
        /// Its name after the `@` of `/command@name`.
        at_name: Option<String> = optional("at_name" | "atName"),
        /// Who made it: `@alice`.
        creator: Option<String> = optional("creator"),
        /// The name to show.
        display_name: Option<String> = optional("display_name" | "displayName"),
        /// What it does.
        description: Option<String> = optional("description"),
        /// Who may use it where it is installed, unless the agency says otherwise.
        default_invoke_permission: Option<InvokePermission> =
            optional("default_invoke_permission" | "defaultInvokePermission"),
    }
}

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

api_struct! {
    /// A custom command of an agency.
    #[derive(Debug, Clone, PartialEq)]
    pub struct CustomCommand {
        /// The command's id.
        id: CommandId = required("id"),
        /// Its name, without `/`.
        name: String = required("name"),
        /// What it does.
        description: Option<String> = optional("description"),
        /// Where the platform sends what people type. Who may not see it gets `None`.
        webhook_url: Option<String> = optional("webhook_url" | "webhookUrl"),
        /// The agency it belongs to, where the server says it.
        agency_id: Option<AgencyId> = optional("agency_id" | "agencyId"),
        /// How it is presented in Explore, if it is.
        explore_metadata: Option<ExploreMetadata> =
            optional("explore_metadata" | "exploreMetadata" as MaybeText<ExploreMetadata>),
        /// Who may use it. `None` if the server did not say.
        invoke_permission: Option<InvokePermission> = optional("invoke_permission" | "invokePermission"),
        /// Who may use it if only some may: usernames.
        invoke_whitelist: Vec<String> =
            default("invoke_whitelist" | "invokeWhitelist" as MaybeText<Vec<String>>),
        /// When it was made.
        created_at: Option<Timestamp> = optional("created_at" | "createdAt"),
    }
}

/// A custom command that was just made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CreatedCommand {
    /// The command.
    pub command: CustomCommand,
    /// The key of its hook, the first time that a command is made for this webhook URL: store it now.
    pub hook_key: Option<HookKey>,
}

api_struct! {
    /// The part of the answer that is not in [`CustomCommand`].
    pub(crate) secret struct MaybeKeyReply {
        /// The key.
        hook_key: Option<HookKey> = optional("hookKey" | "hook_key"),
    }
}

api_struct! {
    /// The answer to asking for a key.
    pub(crate) secret struct KeyReply {
        /// The key.
        hook_key: HookKey = required("hookKey" | "hook_key"),
    }
}
