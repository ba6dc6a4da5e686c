//! `/api/hooks`, as a hook.

use std::fmt;

use super::fields::RequestFields;
use super::{Client, Credentials};
use crate::blank::check_text;
use crate::config::{Config, connection_settings};
use crate::error::Result;
use crate::model::{Agency, AgencyId, List, Member, MessageId, PostedMessage};
use crate::token::HookKey;

/// A client for a hook with its own [`HookKey`]. It lists the agencies where the hook is installed, and posts messages
/// in these agencies.
///
/// A `HookClient` is a handle to a connection pool. Cloning it is cheap, and all threads may use it at once.
///
/// Source: docs.crustocean.chat, page "Integrations".
///
/// ```no_run
/// use crustocean::{HookKey, rest::HookClient};
///
/// # fn main() -> crustocean::Result<()> {
/// let key: HookKey = std::env::var("HOOK_KEY").unwrap_or_default().parse()?;
/// let hook = HookClient::new(key)?;
/// for agency in hook.agencies()? {
///     hook.post(&agency.id, "The market is open.")?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// A `HookClient` does not accept a user's token:
///
/// ```compile_fail,E0308
/// # fn demo(pat: crustocean::PersonalAccessToken) -> crustocean::Result<()> {
/// crustocean::rest::HookClient::new(pat)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HookClient(Client);

/// Builds a [`HookClient`]. Returned by [`HookClient::builder`].
///
/// # Examples
///
/// ```no_run
/// use crustocean::{HookKey, rest::HookClient};
///
/// # fn demo(key: HookKey) -> crustocean::Result<()> {
/// let hook = HookClient::builder().api_url("http://127.0.0.1:7777").build(key)?;
/// println!("{} agencies", hook.agencies()?.len());
/// # Ok(()) }
/// ```
#[must_use = "a builder does nothing until it is finished"]
#[derive(Debug, Clone, Default)]
pub struct HookClientBuilder {
    config: Config,
}

connection_settings!(HookClientBuilder);

impl HookClientBuilder {
    /// Creates a client that acts as the key's hook. This call sends nothing.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a setting is not usable.
    pub fn build(self, key: HookKey) -> Result<HookClient> {
        Ok(HookClient(Client::with(self.config.http()?, Credentials::Hook(key))))
    }
}

impl HookClient {
    /// Creates a client that acts as the key's hook. This call sends nothing.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if `CRUSTOCEAN_API_URL` is not usable or no TLS feature is compiled in.
    pub fn new(key: HookKey) -> Result<Self> {
        Self::builder().build(key)
    }

    /// Returns a builder with all settings: API URL, time limits, TLS, proxy.
    pub fn builder() -> HookClientBuilder {
        HookClientBuilder::default()
    }

    /// Lists the agencies where the hook is installed.
    ///
    /// # Errors
    /// [`Unauthorized`](crate::ErrorKind::Unauthorized) if the key is wrong or was revoked; otherwise the kinds of
    /// [every call](crate::rest#errors).
    pub fn agencies(&self) -> Result<List<Agency>> {
        self.0.get(["hooks", "agencies"])?.list("agencies")
    }

    /// Lists the members of an agency.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if the hook is not installed in the agency.
    pub fn members(&self, agency: &AgencyId) -> Result<List<Member>> {
        self.0.get(["hooks", "agencies", agency.as_str(), "members"])?.list("members")
    }

    /// Posts a message in an agency, as the user `system`. An agent that the message mentions answers as if a user had
    /// written the message. Returns the message's id if the response contains it; the response is not documented.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if the hook is not installed in the agency,
    /// [`Invalid`](crate::ErrorKind::Invalid) if the text is empty.
    pub fn post(&self, agency: &AgencyId, content: &str) -> Result<Option<MessageId>> {
        check_text(content)?;
        let body = RequestFields::default().with("agencyId", agency.as_str()).with("content", content);
        let call = self.0.post(["hooks", "messages"])?.body(&body)?;
        // The message was posted, even if the response cannot be read.
        call.read(|json| Ok(PostedMessage::id_in(json)))
    }

    /// Changes a message that the hook posted.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such message, or if another sender posted it,
    /// [`Invalid`](crate::ErrorKind::Invalid) if the text is empty.
    pub fn edit(&self, message: &MessageId, content: &str) -> Result<()> {
        check_text(content)?;
        let body = RequestFields::default().with("content", content);
        self.0.patch(["hooks", "messages", message.as_str()])?.body(&body)?.done()
    }
}

impl fmt::Debug for HookClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookClient").finish_non_exhaustive()
    }
}
