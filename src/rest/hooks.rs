//! `/api/hooks`, as the one who made a hook.

use serde_json::{Map, Value};

use super::Client;
use super::deploy::DeployHook;
use super::fields::Fields;
use crate::error::Result;
use crate::model::{Hook, HookId, HookSource, InvokePermission, KeyReply, answer};
use crate::token::HookKey;

/// Hooks: [`Client::hooks`]. Anybody can look at one, its creator manages it. What a hook itself can do is in
/// [`HookClient`](crate::rest::HookClient).
///
/// docs.crustocean.chat, pages "Hooks", "Hook transparency" and "Deploy a hook".
///
/// # Examples
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let code = "function handler() { return { content: String(1 + Math.floor(6 * Math.random())) } }";
/// let deployed = client.hooks().deploy("dice", code).command("throw", "Throws a die").send()?;
/// println!("{deployed:?}");
/// let hook = client.hooks().by_slug("dice")?;
/// println!("{:?} has {} commands", hook.name, hook.commands.len());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Hooks<'a> {
    pub(super) client: &'a Client,
}

impl<'a> Hooks<'a> {
    /// The hook with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none.
    #[doc(alias = "getHook")]
    pub fn by_id(self, id: &HookId) -> Result<Hook> {
        self.client.get(["hooks", "by-id", id.as_str()])?.one("hook")
    }

    /// The hook with this slug.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none.
    #[doc(alias = "getHookBySlug")]
    pub fn by_slug(self, slug: &str) -> Result<Hook> {
        self.client.get(["hooks", "by-slug", slug])?.one("hook")
    }

    /// Changes a hook: only what is set before [`send`](UpdateHook::send).
    #[doc(alias = "updateHook")]
    pub fn update(self, id: &HookId) -> UpdateHook<'a> {
        UpdateHook { client: self.client, id: id.clone(), body: Fields::default() }
    }

    /// A new key for a hook. The old one ends at once.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its creator, [`NotFound`](crate::ErrorKind::NotFound)
    /// if there is no such hook; else as [every call](crate::rest#errors).
    #[doc(alias = "rotateHookKey")]
    pub fn rotate_key(self, id: &HookId) -> Result<HookKey> {
        let call = self.client.post(["hooks", "by-id", id.as_str(), "rotate-key"])?;
        Ok(call.read(answer::read::<KeyReply>)?.hook_key)
    }

    /// Ends a hook's key, for good. The hook itself may be gone after it, its commands without a hook.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its creator, [`NotFound`](crate::ErrorKind::NotFound)
    /// if there is no such hook; else as [every call](crate::rest#errors).
    #[doc(alias = "revokeHookKey")]
    pub fn revoke_key_for_good(self, id: &HookId) -> Result<()> {
        self.client.delete(["hooks", "by-id", id.as_str(), "revoke-key"])?.done()
    }

    /// What is known about the source of the hook behind a webhook.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such hook.
    #[doc(alias = "getHookSource")]
    pub fn source(self, webhook_url: &str) -> Result<HookSource> {
        self.client.get(["hooks", "source"])?.query("webhook_url", webhook_url.to_owned()).one("source")
    }

    /// Tells where the source of a hook is: only what is set before [`send`](UpdateHookSource::send).
    #[doc(alias = "updateHookSource")]
    pub fn update_source(self, webhook_url: impl Into<String>) -> UpdateHookSource<'a> {
        let body = Fields::default().with("webhook_url", webhook_url.into());
        UpdateHookSource { client: self.client, body }
    }

    /// Changes what older servers keep about all hooks of a creator. The fields are not documented;
    /// [`update`](Self::update) is for what is.
    ///
    /// # Errors
    /// As [every call](crate::rest#errors).
    pub fn update_metadata(self, fields: &Map<String, Value>) -> Result<()> {
        self.client.patch(["hooks", "metadata"])?.body(fields)?.done()
    }

    /// A native hook: JavaScript that the platform runs itself, under a slug of lowercase letters, digits and `-`.
    /// Deployed again under the same slug it is replaced, where it is installed too. Call
    /// [`send`](DeployHook::send) to deploy it.
    pub fn deploy(self, slug: impl Into<String>, code: impl Into<String>) -> DeployHook<'a> {
        DeployHook::new(self.client, slug.into(), code.into())
    }
}

/// A change of a hook: [`Hooks::update`].
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before send()"]
pub struct UpdateHook<'a> {
    client: &'a Client,
    id: HookId,
    body: Fields,
}

impl UpdateHook<'_> {
    /// Its name, for all its commands.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.body.set("name", name.into());
        self
    }

    /// What it does.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.body.set("description", text.into());
        self
    }

    /// Who may use it where it is installed, unless the agency says otherwise.
    pub fn default_invoke_permission(mut self, permission: InvokePermission) -> Self {
        self.body.set("default_invoke_permission", permission.as_str());
        self
    }

    /// Whether it can be used, and is found in Explore.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.body.set("enabled", enabled);
        self
    }

    /// Makes the change and returns the hook as it is now.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its creator, [`NotFound`](crate::ErrorKind::NotFound)
    /// if there is no such hook; else as [every call](crate::rest#errors).
    pub fn send(self) -> Result<Hook> {
        self.client.patch(["hooks", "by-id", self.id.as_str()])?.body(&self.body)?.one("hook")
    }
}

/// A change of what is known about a hook's source: [`Hooks::update_source`].
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before send()"]
pub struct UpdateHookSource<'a> {
    client: &'a Client,
    body: Fields,
}

impl UpdateHookSource<'_> {
    /// Where it can be read.
    pub fn source_url(mut self, url: impl Into<String>) -> Self {
        self.body.set("source_url", url.into());
        self
    }

    /// Its SHA-256, in hexadecimal digits.
    pub fn source_hash(mut self, sha256: impl Into<String>) -> Self {
        self.body.set("source_hash", sha256.into());
        self
    }

    /// What the hook's commands take and give.
    pub fn schema(mut self, schema: impl Into<Value>) -> Self {
        self.body.set("schema", schema);
        self
    }

    /// Makes the change and returns what is known now.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its creator, [`NotFound`](crate::ErrorKind::NotFound)
    /// if there is no such hook; else as [every call](crate::rest#errors).
    pub fn send(self) -> Result<HookSource> {
        self.client.patch(["hooks", "source"])?.body(&self.body)?.one("source")
    }
}
