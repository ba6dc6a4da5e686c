//! `/api/hooks`, for a hook's creator.

use serde_json::{Map, Value};

use super::Client;
use super::deploy::DeployHook;
use super::fields::RequestFields;
use crate::error::Result;
use crate::model::{Hook, HookId, HookSource, InvokePermission, KeyReply, answer};
use crate::token::HookKey;

/// Hooks and their management. Returned by [`Client::hooks`]. Anybody may read a hook; its creator manages it. A
/// program that acts as a hook uses [`HookClient`](crate::rest::HookClient).
///
/// Source: docs.crustocean.chat, pages "Hooks", "Hook transparency" and "Deploy a hook".
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
    /// Returns the hook with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such hook.
    #[doc(alias = "getHook")]
    pub fn by_id(self, id: &HookId) -> Result<Hook> {
        self.client.get(["hooks", "by-id", id.as_str()])?.one("hook")
    }

    /// Returns the hook with this slug.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such hook.
    #[doc(alias = "getHookBySlug")]
    pub fn by_slug(self, slug: &str) -> Result<Hook> {
        self.client.get(["hooks", "by-slug", slug])?.one("hook")
    }

    /// Changes a hook. [`send`](UpdateHook::send) sends only the fields that were set.
    #[doc(alias = "updateHook")]
    pub fn update(self, id: &HookId) -> UpdateHook<'a> {
        UpdateHook { client: self.client, id: id.clone(), body: RequestFields::default() }
    }

    /// Creates a new key for a hook. The old key stops working at once.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not the hook's creator,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such hook; otherwise the kinds of [every
    /// call](crate::rest#errors).
    #[doc(alias = "rotateHookKey")]
    pub fn rotate_key(self, id: &HookId) -> Result<HookKey> {
        let call = self.client.post(["hooks", "by-id", id.as_str(), "rotate-key"])?;
        Ok(call.read_credential(answer::read::<KeyReply>)?.hook_key)
    }

    /// Revokes a hook's key. This cannot be undone. The server may also delete the hook; its commands then have no
    /// hook.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not the hook's creator,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such hook; otherwise the kinds of [every
    /// call](crate::rest#errors).
    #[doc(alias = "revokeHookKey")]
    pub fn revoke_key_for_good(self, id: &HookId) -> Result<()> {
        self.client.delete(["hooks", "by-id", id.as_str(), "revoke-key"])?.done()
    }

    /// Returns the information about the source code of the hook behind a webhook URL.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such hook.
    #[doc(alias = "getHookSource")]
    pub fn source(self, webhook_url: &str) -> Result<HookSource> {
        self.client.get(["hooks", "source"])?.query("webhook_url", webhook_url.to_owned()).one("source")
    }

    /// Sets the information about a hook's source code. [`send`](UpdateHookSource::send) sends only the fields that
    /// were set.
    #[doc(alias = "updateHookSource")]
    pub fn update_source(self, webhook_url: impl Into<String>) -> UpdateHookSource<'a> {
        let body = RequestFields::default().with("webhook_url", webhook_url.into());
        UpdateHookSource { client: self.client, body }
    }

    /// Changes the metadata that older servers store for all hooks of a creator. Its fields are not documented. Use
    /// [`update`](Self::update) for documented fields.
    ///
    /// # Errors
    /// The kinds of [every call](crate::rest#errors).
    pub fn update_metadata(self, fields: &Map<String, Value>) -> Result<()> {
        self.client.patch(["hooks", "metadata"])?.body(fields)?.done()
    }

    /// Deploys a native hook, when [`send`](DeployHook::send) is called. A native hook is JavaScript that the platform
    /// runs. Its slug consists of lowercase letters, digits and `-`. Deploying the same slug again replaces the hook,
    /// also in the agencies where it is installed.
    pub fn deploy(self, slug: impl Into<String>, code: impl Into<String>) -> DeployHook<'a> {
        DeployHook::new(self.client, slug.into(), code.into())
    }
}

/// A change of a hook. Returned by [`Hooks::update`].
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// if let Some(id) = client.hooks().by_slug("dice")?.id {
///     client.hooks().update(&id).description("Throws a die").enabled(true).send()?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before send()"]
pub struct UpdateHook<'a> {
    client: &'a Client,
    id: HookId,
    body: RequestFields,
}

impl UpdateHook<'_> {
    /// Sets the name, for all commands of the hook.
    pub fn name(self, name: impl Into<String>) -> Self {
        UpdateHook { body: self.body.with("name", name.into()), ..self }
    }

    /// Sets the description.
    pub fn description(self, text: impl Into<String>) -> Self {
        UpdateHook { body: self.body.with("description", text.into()), ..self }
    }

    /// Sets who may use the installed hook. The setting of an agency has priority.
    pub fn default_invoke_permission(self, permission: InvokePermission) -> Self {
        UpdateHook { body: self.body.with("default_invoke_permission", permission.as_str()), ..self }
    }

    /// Enables or disables the hook. A disabled hook is not in Explore.
    pub fn enabled(self, enabled: bool) -> Self {
        UpdateHook { body: self.body.with("enabled", enabled), ..self }
    }

    /// Sends the change. Returns the changed hook.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not the hook's creator,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such hook; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<Hook> {
        self.client.patch(["hooks", "by-id", self.id.as_str()])?.body(&self.body)?.one("hook")
    }
}

/// A change of the information about a hook's source code. Returned by [`Hooks::update_source`].
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before send()"]
pub struct UpdateHookSource<'a> {
    client: &'a Client,
    body: RequestFields,
}

impl UpdateHookSource<'_> {
    /// Sets the URL of the source code.
    pub fn source_url(self, url: impl Into<String>) -> Self {
        UpdateHookSource { body: self.body.with("source_url", url.into()), ..self }
    }

    /// Sets the SHA-256 of the source code, in hexadecimal digits.
    pub fn source_hash(self, sha256: impl Into<String>) -> Self {
        UpdateHookSource { body: self.body.with("source_hash", sha256.into()), ..self }
    }

    /// Sets the schema of the commands' inputs and outputs.
    pub fn schema(self, schema: impl Into<Value>) -> Self {
        UpdateHookSource { body: self.body.with("schema", schema.into()), ..self }
    }

    /// Sends the change. Returns the changed information.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not the hook's creator,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such hook; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<HookSource> {
        self.client.patch(["hooks", "source"])?.body(&self.body)?.one("source")
    }
}
