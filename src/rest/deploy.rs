//! `/api/hooks/deploy`.

use serde::Serialize;

use super::fields::RequestFields;
use super::{Client, check};
use crate::error::{Error, Result};
use crate::model::{AgencyId, DeployedHook, HookCommand, answer};

/// A native hook to deploy. Returned by [`Hooks::deploy`](crate::rest::Hooks::deploy).
///
/// Source: docs.crustocean.chat, pages "Hooktime" and "Deploy a hook".
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let code = "function handler({ rawArgs }) { return { content: rawArgs.toUpperCase() }; }";
/// let hook = client.hooks().deploy("shout", code).command("shout", "Says it louder").send()?;
/// println!("/hook install {}", hook.slug);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is deployed before send()"]
pub struct DeployHook<'a> {
    client: &'a Client,
    body: RequestFields,
    commands: Vec<HookCommand>,
}

impl<'a> DeployHook<'a> {
    pub(super) fn new(client: &'a Client, slug: String, code: String) -> Self {
        let body = RequestFields::default().with("slug", slug).with("code", code);
        DeployHook { client, body, commands: Vec::new() }
    }

    /// Adds a command: its name without `/`, and a description. A hook needs at least one command.
    pub fn command(mut self, name: impl Into<String>, description: impl Into<String>) -> Self {
        self.commands.push(HookCommand { name: name.into(), description: Some(description.into()) });
        self
    }

    /// Sets the hook's name. Defaults to the server's default.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.set("name", name.into())
    }

    /// Sets the hook's description. Defaults to none.
    pub fn description(self, text: impl Into<String>) -> Self {
        self.set("description", text.into())
    }

    /// Installs the hook in this agency. You need the permission to manage hooks in this agency. By default the hook is
    /// not installed.
    pub fn install_in(self, agency: &AgencyId) -> Self {
        self.set("agency_id", agency.as_str())
    }

    /// Sets the URL of the hook's picture. Defaults to none.
    pub fn avatar_url(self, url: impl Into<String>) -> Self {
        self.set("avatar_url", url.into())
    }

    /// Sets the hook's name after the `@` in `/command@name`. Defaults to the slug.
    pub fn at_name(self, name: &str) -> Self {
        self.set("at_name", name.strip_prefix('@').unwrap_or(name))
    }

    fn set(self, key: &str, value: impl Serialize) -> Self {
        DeployHook { body: self.body.with(key, value), ..self }
    }

    /// Deploys the hook. The response contains the hook's key only the first time.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the slug has characters other than `a` to `z`, digits and `-`, the
    /// code is larger than 64 KB, or the hook has no command. [`Forbidden`](crate::ErrorKind::Forbidden) if you may not
    /// install hooks in the agency. [`Conflict`](crate::ErrorKind::Conflict) if another user owns the slug.
    pub fn send(self) -> Result<DeployedHook> {
        check::slug(self.body.text("slug").unwrap_or_default())?;
        check::code(self.body.text("code").unwrap_or_default())?;
        if self.commands.is_empty() {
            return Err(Error::invalid("a hook has at least one command: call command(name, description)"));
        }
        for command in &self.commands {
            check::command_name(&command.name)?;
        }
        let body = self.body.with("commands", self.commands);
        self.client.post(["hooks", "deploy"])?.body(&body)?.read_credential(answer::read)
    }
}
