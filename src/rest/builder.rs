//! Settings of a client, and log-in.

use serde::Serialize;

use super::{Client, Credentials, check};
use crate::config::{Config, connection_settings};
use crate::error::{ErrorKind, Result};
use crate::model::{SessionReply, User, answer};
use crate::token::{SessionToken, UserToken};

/// Builds a [`Client`]. Returned by [`Client::builder`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// # fn main() -> crustocean::Result<()> {
/// let builder = crustocean::Client::builder().request_timeout(Duration::from_secs(5)).retries(0);
/// let login = builder.login("alice", "correct horse")?;
/// println!("{}", login.client.account().me()?.username);
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until it is finished"]
#[derive(Debug, Clone, Default)]
pub struct ClientBuilder {
    pub(super) config: Config,
    display_name: Option<String>,
}

connection_settings!(ClientBuilder);

/// The result of logging in or registering.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Login {
    /// A client that acts as the user while the session lasts.
    pub client: Client,
    /// The session's token, valid for 7 days. [`Client::new`] takes it.
    pub token: SessionToken,
    /// The user who logged in.
    pub user: User,
}

/// No `Debug`, because it contains a password.
#[derive(Serialize)]
struct NameAndPassword<'a> {
    username: &'a str,
    password: &'a str,
    #[serde(rename = "displayName", skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
}

impl ClientBuilder {
    /// Sets the display name of an account that [`register`](Self::register) creates. Defaults to the username.
    ///
    /// ```no_run
    /// # fn demo() -> crustocean::Result<()> {
    /// let login = crustocean::Client::builder().display_name("Larry").register("larry", "correct horse")?;
    /// # let _ = login;
    /// # Ok(()) }
    /// ```
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Creates a client that acts as the token's user, like [`Client::new`].
    ///
    /// ```no_run
    /// # fn demo() -> crustocean::Result<()> {
    /// let client = crustocean::Client::builder().build(crustocean::PersonalAccessToken::from_env()?)?;
    /// println!("{} agencies", client.agencies().list()?.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a setting is not usable.
    pub fn build(self, token: impl Into<UserToken>) -> Result<Client> {
        Ok(Client::with(self.config.http()?, Credentials::User(token.into())))
    }

    /// Creates a client without a token, like [`Client::anonymous`].
    ///
    /// ```no_run
    /// # fn demo() -> crustocean::Result<()> {
    /// let client = crustocean::Client::builder().anonymous()?;
    /// # let _ = client;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a setting is not usable.
    pub fn anonymous(self) -> Result<Client> {
        Ok(Client::with(self.config.http()?, Credentials::Anonymous))
    }

    /// Logs in, like [`Client::login`].
    ///
    /// ```no_run
    /// # fn demo() -> crustocean::Result<()> {
    /// let login = crustocean::Client::builder().login("larry", "correct horse")?;
    /// println!("{}", login.user.username);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Unauthorized`](crate::ErrorKind::Unauthorized) if the name or the password is wrong,
    /// [`RateLimited`](crate::ErrorKind::RateLimited) after 10 attempts in a minute,
    /// [`Config`](crate::ErrorKind::Config) if a setting is not usable; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn login(self, username: &str, password: &str) -> Result<Login> {
        let login = self.open("login", &NameAndPassword { username, password, display_name: None });
        login.map_err(|error| match error.status() {
            Some(401) => error.reworded(ErrorKind::Unauthorized, "the username or the password is wrong"),
            _ => error,
        })
    }

    /// Creates an account and logs in, like [`Client::register`].
    ///
    /// ```no_run
    /// # fn demo() -> crustocean::Result<()> {
    /// let login = crustocean::Client::builder().register("larry", "correct horse")?;
    /// println!("{}", login.user.username);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name or the password breaks a rule of [`Client::register`],
    /// [`Conflict`](crate::ErrorKind::Conflict) if the name is taken, [`Config`](crate::ErrorKind::Config) if a setting
    /// is not usable; otherwise the kinds of [every call](crate::rest#errors).
    pub fn register(self, username: &str, password: &str) -> Result<Login> {
        check::username(username)?;
        check::password(password)?;
        let display_name = self.display_name.as_deref();
        self.open("register", &NameAndPassword { username, password, display_name })
    }

    fn open(&self, how: &str, body: &NameAndPassword<'_>) -> Result<Login> {
        let http = self.config.http()?;
        let nobody = Client::internal(http.clone(), Credentials::Anonymous);
        let reply: SessionReply = nobody.post(["auth", how])?.body(body)?.read_credential(answer::read)?;
        let client = Client::with(http, Credentials::User(reply.token.clone().into()));
        Ok(Login { client, token: reply.token, user: reply.user })
    }
}
