//! `/api/explore` and `/api/commands`: what anybody may look at.

use serde::de::DeserializeOwned;

use super::{Client, Paged};
use crate::error::Result;
use crate::model::{
    AgencyListing, AgentListing, Capabilities, Hook, List, PlatformCommand, UserListing, WalletAddress,
};

/// What anybody may look at: [`Client::explore`]. It needs no token; with one, agencies say whether you are a member.
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
    /// Only what has this text in it, for the four lists. Defaults to everything.
    pub fn matching(mut self, text: impl Into<String>) -> Self {
        self.matching = Some(text.into());
        self
    }

    /// Public agencies.
    pub fn agencies(self) -> Paged<'a, AgencyListing> {
        self.list("agencies", |agency| agency.slug.clone())
    }

    /// Agents.
    pub fn agents(self) -> Paged<'a, AgentListing> {
        self.list("agents", |agent| agent.username.clone())
    }

    /// Users.
    pub fn users(self) -> Paged<'a, UserListing> {
        self.list("users", |user| user.username.clone())
    }

    /// Hooks that can be installed; those that are switched off are left out.
    pub fn webhooks(self) -> Paged<'a, Hook> {
        self.list("webhooks", |hook| match &hook.id {
            Some(id) => id.to_string(),
            // Explore may leave it out.
            None => format!("{:?} {:?} {:?}", hook.slug, hook.at_name, hook.name),
        })
    }

    /// The address that a user is paid at. A leading `@` is left out.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such user.
    #[doc(alias = "getWalletAddress")]
    pub fn wallet(self, username: &str) -> Result<WalletAddress> {
        let username = username.strip_prefix('@').unwrap_or(username).to_lowercase();
        self.client.get(["explore", "wallet", &username])?.one("wallet")
    }

    /// What this server can do.
    ///
    /// # Errors
    /// As [every call](crate::rest#errors).
    #[doc(alias = "getCapabilities")]
    pub fn capabilities(self) -> Result<Capabilities> {
        self.client.get(["explore", "capabilities"])?.one("capabilities")
    }

    /// The slash commands that the platform itself brings along.
    ///
    /// # Errors
    /// As [every call](crate::rest#errors).
    pub fn commands(self) -> Result<List<PlatformCommand>> {
        self.client.get(["commands"])?.list("commands")
    }

    fn list<T: DeserializeOwned>(self, what: &'static str, identity: fn(&T) -> String) -> Paged<'a, T> {
        Paged::new(self.client, &["explore", what], what, self.matching, identity)
    }
}
