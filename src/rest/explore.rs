//! `/api/explore` and `/api/commands`: public information.

use serde::de::DeserializeOwned;

use super::paged::identity;
use super::{Client, Paged};
use crate::error::Result;
use crate::model::{
    AgencyId, AgencyListing, AgentListing, Capabilities, Hook, HookId, List, PlatformCommand, UserListing,
    WalletAddress,
};

/// Public information. Returned by [`Client::explore`]. The calls need no token. With a token, the listed agencies show
/// whether you are a member.
///
/// ```no_run
/// # fn main() -> crustocean::Result<()> {
/// let client = crustocean::Client::anonymous()?;
/// for agency in client.explore().matching("research").agencies().limit(10).send()? {
///     println!("{} ({:?} members)", agency.name, agency.member_count);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Explore<'a> {
    pub(super) client: &'a Client,
    pub(super) matching: Option<String>,
}

impl<'a> Explore<'a> {
    /// Limits the four lists to items that contain this text. Defaults to all items.
    pub fn matching(mut self, text: impl Into<String>) -> Self {
        self.matching = Some(text.into());
        self
    }

    /// Lists public agencies.
    pub fn agencies(self) -> Paged<'a, AgencyListing> {
        self.list("agencies", |agency: &AgencyListing| {
            let key = agency.id.as_ref().map_or(agency.slug.as_str(), AgencyId::as_str);
            identity(key, agency)
        })
    }

    /// Lists agents.
    pub fn agents(self) -> Paged<'a, AgentListing> {
        self.list("agents", |agent| identity(&agent.username, agent))
    }

    /// Lists users.
    pub fn users(self) -> Paged<'a, UserListing> {
        self.list("users", |user| identity(&user.username, user))
    }

    /// Lists hooks that can be installed. The list omits disabled hooks.
    pub fn webhooks(self) -> Paged<'a, Hook> {
        self.list("webhooks", |hook: &Hook| {
            // Explore may omit the id.
            let key = hook.id.as_ref().map(HookId::as_str).or(hook.slug.as_deref());
            identity(key.unwrap_or_default(), hook)
        })
    }

    /// Returns the address at which a user receives payments. Ignores a leading `@`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such user.
    #[doc(alias = "getWalletAddress")]
    pub fn wallet(self, username: &str) -> Result<WalletAddress> {
        let username = username.strip_prefix('@').unwrap_or(username).to_lowercase();
        self.client.get(["explore", "wallet", &username])?.one("wallet")
    }

    /// Returns the server's capabilities.
    ///
    /// # Errors
    /// The kinds of [every call](crate::rest#errors).
    #[doc(alias = "getCapabilities")]
    pub fn capabilities(self) -> Result<Capabilities> {
        self.client.get(["explore", "capabilities"])?.one("capabilities")
    }

    /// Lists the platform's own slash commands.
    ///
    /// # Errors
    /// The kinds of [every call](crate::rest#errors).
    pub fn commands(self) -> Result<List<PlatformCommand>> {
        self.client.get(["commands"])?.list("commands")
    }

    fn list<T: DeserializeOwned>(self, what: &'static str, identity: fn(&T) -> String) -> Paged<'a, T> {
        Paged::new(self.client, &["explore", what], what, self.matching, identity)
    }
}
