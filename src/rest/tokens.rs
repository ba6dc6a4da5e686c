//! `/api/auth/tokens`.

use super::fields::RequestFields;
use super::{Client, check};
use crate::error::Result;
use crate::model::{CreatedToken, Expiry, List, PersonalAccessTokenInfo, RawToken, TokenId, answer};

/// Your personal access tokens. Returned by [`Client::tokens`]. A user may have 10 tokens; an agent has none.
///
/// Source: docs.crustocean.chat, page "Tokens".
///
/// ```no_run
/// use crustocean::{Client, model::Expiry};
///
/// # fn main() -> crustocean::Result<()> {
/// let client = Client::login("alice", "correct horse")?.client;
/// let created = client.tokens().create("ci-deploy").expires(Expiry::Days90).send()?;
/// println!("CRUSTOCEAN_TOKEN={}", created.token.expose()); // shown this once: store it
/// client.tokens().revoke(&created.info.id)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    pub(super) client: &'a Client,
}

impl<'a> Tokens<'a> {
    /// Creates a token, when [`send`](CreateToken::send) is called.
    pub fn create(self, name: impl Into<String>) -> CreateToken<'a> {
        CreateToken { client: self.client, body: RequestFields::default().with("name", name.into()) }
    }

    /// Lists your tokens. The list does not contain the tokens' secrets.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if the client acts as an agent, because only people have these
    /// tokens; otherwise the kinds of [every call](crate::rest#errors).
    pub fn list(self) -> Result<List<PersonalAccessTokenInfo>> {
        self.client.get(["auth", "tokens"])?.list("tokens")
    }

    /// Revokes a token at once.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the token is not yours or was revoked before.
    pub fn revoke(self, id: &TokenId) -> Result<()> {
        self.client.delete(["auth", "tokens", id.as_str()])?.done()
    }
}

/// A new token. Returned by [`Tokens::create`].
#[derive(Debug, Clone)]
#[must_use = "nothing is created before send()"]
pub struct CreateToken<'a> {
    client: &'a Client,
    body: RequestFields,
}

impl CreateToken<'_> {
    /// Sets how long the token is valid. Defaults to [`Expiry::Never`].
    pub fn expires(self, expiry: Expiry) -> Self {
        CreateToken { body: self.body.with("expiresIn", expiry.as_str()), ..self }
    }

    /// Creates the token.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name is empty or longer than 64 characters;
    /// [`Server`](crate::ErrorKind::Server) if you have 10 tokens already; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<CreatedToken> {
        check::token_name(self.body.text("name").unwrap_or_default())?;
        self.client.post(["auth", "tokens"])?.body(&self.body)?.read_credential(|json| {
            let RawToken { token } = answer::read(json)?;
            Ok(CreatedToken { token, info: answer::read(json)? })
        })
    }
}
