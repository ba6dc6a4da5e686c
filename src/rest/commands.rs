//! `/api/custom-commands`.

use serde::Serialize;
use serde_json::Value;

use super::fields::RequestFields;
use super::{Client, check};
use crate::error::Result;
use crate::model::{
    AgencyId, CommandId, CreatedCommand, CustomCommand, ExploreMetadata, InvokePermission, KeyReply, List,
    MaybeKeyReply, answer,
};
use crate::token::HookKey;

/// The custom commands of one agency. Returned by [`Client::commands`]. Members may list the commands; the owner
/// manages them. The Lobby has no custom commands.
///
/// Source: docs.crustocean.chat, pages "Integrations" and "Hooks".
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let team = client.agencies().lookup("my-team")?;
/// let created = client
///     .commands(&team.id)
///     .create("price", "https://prices.example.com/hook")
///     .description("What it costs")
///     .send()?;
/// if let Some(key) = created.hook_key {
///     println!("HOOK_KEY={}", key.expose()); // shown this once: store it
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Commands<'a> {
    pub(super) client: &'a Client,
    pub(super) agency: &'a AgencyId,
}

impl<'a> Commands<'a> {
    /// Lists all custom commands.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; otherwise the kinds of [every
    /// call](crate::rest#errors).
    #[doc(alias = "listCustomCommands")]
    pub fn list(self) -> Result<List<CustomCommand>> {
        self.client.get(["custom-commands", self.agency.as_str(), "commands"])?.list("commands")
    }

    /// Creates a command, when [`send`](CreateCommand::send) is called. Write `name` without `/`. The webhook at
    /// `webhook_url` answers the command. The server converts the name to lowercase and drops all characters except
    /// letters and digits.
    #[doc(alias = "createCustomCommand")]
    pub fn create(self, name: impl Into<String>, webhook_url: impl Into<String>) -> CreateCommand<'a> {
        let body = RequestFields::default().with("name", name.into()).with("webhook_url", webhook_url.into());
        CreateCommand { commands: self, body }
    }

    /// Changes a command. [`send`](UpdateCommand::send) sends only the fields that were set.
    #[doc(alias = "updateCustomCommand")]
    pub fn update(self, id: &CommandId) -> UpdateCommand<'a> {
        UpdateCommand { commands: self, id: id.clone(), body: RequestFields::default() }
    }

    /// Deletes a command.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you may not manage the agency's commands,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such command; otherwise the kinds of [every
    /// call](crate::rest#errors).
    #[doc(alias = "deleteCustomCommand")]
    pub fn delete(self, id: &CommandId) -> Result<()> {
        self.client.delete(self.path(id))?.done()
    }

    /// Returns the key of a command's hook. Creates a key if the hook has none. This may invalidate an earlier key, so
    /// store the new key.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you may not manage the agency's commands,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such command; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn hook_key(self, id: &CommandId) -> Result<HookKey> {
        let call = self.client.post(self.key_path(id))?;
        Ok(call.read_credential(answer::read::<KeyReply>)?.hook_key)
    }

    /// Revokes the key of a command's hook.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you may not manage the agency's commands,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such command; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn revoke_hook_key(self, id: &CommandId) -> Result<()> {
        self.client.delete(self.key_path(id))?.done()
    }

    fn path<'b>(&'b self, id: &'b CommandId) -> [&'b str; 4] {
        ["custom-commands", self.agency.as_str(), "commands", id.as_str()]
    }

    fn key_path<'b>(&'b self, id: &'b CommandId) -> [&'b str; 5] {
        ["custom-commands", self.agency.as_str(), "commands", id.as_str(), "hook-key"]
    }
}

/// A new custom command. Returned by [`Commands::create`].
#[derive(Debug, Clone)]
#[must_use = "nothing is created before send()"]
pub struct CreateCommand<'a> {
    commands: Commands<'a>,
    body: RequestFields,
}

/// A change of a custom command. Returned by [`Commands::update`].
///
/// ```no_run
/// use crustocean::model::InvokePermission;
///
/// # fn demo(client: crustocean::Client, team: crustocean::AgencyId) -> crustocean::Result<()> {
/// for command in &client.commands(&team).list()? {
///     client.commands(&team).update(&command.id).invoke_permission(InvokePermission::Open).send()?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before send()"]
pub struct UpdateCommand<'a> {
    commands: Commands<'a>,
    id: CommandId,
    body: RequestFields,
}

macro_rules! command_fields {
    ($name:ident, $unset:literal) => {
        impl $name<'_> {
            #[doc = concat!("Sets the text that says what the command does. ", $unset)]
            pub fn description(self, text: impl Into<String>) -> Self {
                self.set("description", text.into())
            }

            #[doc = concat!("Shows the command's hook in Explore, so that other agencies can install the hook. ", $unset)]
            pub fn explore_metadata(self, metadata: ExploreMetadata) -> Self {
                self.set("explore_metadata", metadata)
            }

            #[doc = concat!("Sets who may use the command. ", $unset)]
            pub fn invoke_permission(self, permission: InvokePermission) -> Self {
                self.set("invoke_permission", permission.as_str())
            }

            #[doc = concat!("Sets the users on the whitelist of [`InvokePermission::Whitelist`], by username. ", $unset)]
            pub fn invoke_whitelist<S: Into<String>>(self, usernames: impl IntoIterator<Item = S>) -> Self {
                self.set("invoke_whitelist", RequestFields::list(usernames))
            }

            /// Sets the creator of the command's hook: the username of an existing user. The documentation of hooks
            /// requires a creator; the server does not.
            #[doc = $unset]
            pub fn creator(self, username: impl Into<String>) -> Self {
                self.set("creator", username.into())
            }

            fn set(self, key: &str, value: impl Serialize) -> Self {
                $name { body: self.body.with(key, value), ..self }
            }
        }
    };
}

command_fields!(CreateCommand, "If this is not set, the server chooses.");
command_fields!(UpdateCommand, "If this is not set, the value does not change.");

impl CreateCommand<'_> {
    /// Creates the command.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name contains a slash, or no letter or digit; otherwise the kinds
    /// of [every call](crate::rest#errors).
    pub fn send(self) -> Result<CreatedCommand> {
        check::command_name(self.body.text("name").unwrap_or_default())?;
        let Commands { client, agency } = self.commands;
        let call = client.post(["custom-commands", agency.as_str(), "commands"])?;
        call.body(&self.body)?.read_credential(|json| {
            let MaybeKeyReply { hook_key } = answer::read(json)?;
            Ok(CreatedCommand { command: answer::one(json, "command")?, hook_key })
        })
    }
}

impl UpdateCommand<'_> {
    /// Sets the name, without `/`.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.set("name", name.into())
    }

    /// Sets the URL that answers the command.
    pub fn webhook_url(self, url: impl Into<String>) -> Self {
        self.set("webhook_url", url.into())
    }

    /// Removes the command's hook from Explore.
    pub fn clear_explore_metadata(self) -> Self {
        self.set("explore_metadata", Value::Null)
    }

    /// Sends the change. Returns the changed command.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name contains a slash, or no letter or digit; otherwise the kinds
    /// of [every call](crate::rest#errors).
    pub fn send(self) -> Result<CustomCommand> {
        self.body.text("name").map_or(Ok(()), check::command_name)?;
        self.commands.client.patch(self.commands.path(&self.id))?.body(&self.body)?.one("command")
    }
}
