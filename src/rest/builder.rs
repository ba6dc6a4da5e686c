//! How a client comes to be.

use serde::Serialize;

use super::{Client, Credentials, check};
use crate::config::{Config, connection_settings};
use crate::error::{ErrorKind, Result};
use crate::model::{SessionReply, User, answer};
use crate::token::{SessionToken, UserToken};

/// Builds a [`Client`]: [`Client::builder`].
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

/// What logging in and registering give.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Login {
    /// Acts as the user for as long as the session lives.
    pub client: Client,
    /// The session's token, good for 7 days: [`Client::new`] takes it.
    pub token: SessionToken,
    /// Who logged in.
    pub user: User,
}

/// No `Debug`: it holds a password.
#[derive(Serialize)]
struct NameAndPassword<'a> {
    username: &'a str,
    password: &'a str,
    #[serde(rename = "displayName", skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
}

impl ClientBuilder {
    /// The name to show for an account that [`register`](Self::register) makes. Defaults to the username.
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// A client that acts as the token's user. See [`Client::new`].
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a setting is unusable.
    pub fn build(self, token: impl Into<UserToken>) -> Result<Client> {
        Ok(Client::with(self.config.http()?, Credentials::User(token.into())))
    }

    /// A client without a token. See [`Client::anonymous`].
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn anonymous(self) -> Result<Client> {
        Ok(Client::with(self.config.http()?, Credentials::Anonymous))
    }

    /// Logs in. See [`Client::login`].
    ///
    /// # Errors
    /// As [`Client::login`].
    pub fn login(self, username: &str, password: &str) -> Result<Login> {
        let login = self.open("login", &NameAndPassword { username, password, display_name: None });
        login.map_err(|error| match error.status() {
            Some(401) => error.reworded(ErrorKind::Unauthorized, "the username or the password is wrong"),
            _ => error,
        })
    }

    /// Makes an account and logs in. See [`Client::register`].
    ///
    /// # Errors
    /// As [`Client::register`].
    pub fn register(self, username: &str, password: &str) -> Result<Login> {
        check::username(username)?;
        check::password(password)?;
        let display_name = self.display_name.as_deref();
        self.open("register", &NameAndPassword { username, password, display_name })
    }

    fn open(&self, how: &str, body: &NameAndPassword<'_>) -> Result<Login> {
        let http = self.config.http()?;
        let nobody = Client::with(http.clone(), Credentials::Anonymous);
        let reply: SessionReply = nobody.post(["auth", how])?.body(body)?.read(answer::read)?;
        let client = Client::with(http, Credentials::User(reply.token.clone().into()));
        Ok(Login { client, token: reply.token, user: reply.user })
    }
}
