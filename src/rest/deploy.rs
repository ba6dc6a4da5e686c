//! `/api/hooks/deploy`.

use serde_json::Value;

use super::fields::Fields;
use super::{Client, check};
use crate::error::{Error, Result};
use crate::model::{AgencyId, DeployedHook, HookCommand, answer};

/// A native hook to be deployed: [`Hooks::deploy`](crate::rest::Hooks::deploy).
///
/// docs.crustocean.chat, pages "Hooktime" and "Deploy a hook".
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
    body: Fields,
    commands: Vec<HookCommand>,
}

impl<'a> DeployHook<'a> {
    pub(super) fn new(client: &'a Client, slug: String, code: String) -> Self {
        let body = Fields::default().with("slug", slug).with("code", code);
        DeployHook { client, body, commands: Vec::new() }
    }

    /// Adds a command, without `/`, and what it does. A hook has at least one.
    pub fn command(mut self, name: impl Into<String>, description: impl Into<String>) -> Self {
        self.commands.push(HookCommand { name: name.into(), description: Some(description.into()) });
        self
    }

    /// The hook's name. Defaults to the server's choice.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.set("name", name.into())
    }

    /// What it does. Defaults to nothing.
    pub fn description(self, text: impl Into<String>) -> Self {
        self.set("description", text.into())
    }

    /// Installs it in this agency, where you need the right to manage hooks. Defaults to nowhere.
    pub fn install_in(self, agency: &AgencyId) -> Self {
        self.set("agency_id", agency.as_str())
    }

    /// The picture's URL. Defaults to none.
    pub fn avatar_url(self, url: impl Into<String>) -> Self {
        self.set("avatar_url", url.into())
    }

    /// Its name after the `@` of `/command@name`. Defaults to the slug.
    pub fn at_name(self, name: &str) -> Self {
        self.set("at_name", name.strip_prefix('@').unwrap_or(name))
    }

    fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.body.set(key, value);
        self
    }

    /// Deploys it. The answer has the hook's key the first time only.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the slug has other characters than `a` to `z`, digits and `-`, the
    /// code is larger than 64 KB, or there is no command; [`Forbidden`](crate::ErrorKind::Forbidden) if it may not be
    /// installed there; [`Conflict`](crate::ErrorKind::Conflict) if the slug is somebody else's.
    pub fn send(self) -> Result<DeployedHook> {
        check::slug(self.body.text("slug").unwrap_or_default())?;
        check::code(self.body.text("code").unwrap_or_default())?;
        if self.commands.is_empty() {
            return Err(Error::invalid("a hook has at least one command: call command(name, description)"));
        }
        for command in &self.commands {
            check::command_name(&command.name)?;
        }
        let commands = serde_json::to_value(&self.commands)
            .map_err(|error| Error::invalid("these commands do not serialise").with_source(error))?;
        let body = self.body.with("commands", commands);
        self.client.post(["hooks", "deploy"])?.body(&body)?.read(answer::read)
    }
}
