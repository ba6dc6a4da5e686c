//! `/api/auth/tokens`.

use serde::Serialize;

use super::{Client, check};
use crate::error::Result;
use crate::model::{CreatedToken, Expiry, List, PersonalAccessTokenInfo, RawToken, TokenId, answer};

/// Your personal access tokens: [`Client::tokens`]. At most 10 a user; an agent has none.
///
/// docs.crustocean.chat, page "Tokens".
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
    /// A new token. Call [`send`](CreateToken::send) to make it.
    pub fn create(self, name: impl Into<String>) -> CreateToken<'a> {
        CreateToken { client: self.client, body: CreateBody { name: name.into(), expires_in: None } }
    }

    /// All your tokens, without the tokens themselves.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) for an agent: only people have such tokens; else as [every
    /// call](crate::rest#errors).
    pub fn list(self) -> Result<List<PersonalAccessTokenInfo>> {
        self.client.get(["auth", "tokens"])?.list("tokens")
    }

    /// Ends a token at once.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is not yours or is gone already.
    pub fn revoke(self, id: &TokenId) -> Result<()> {
        self.client.delete(["auth", "tokens", id.as_str()])?.done()
    }
}

/// A token to be made: [`Tokens::create`].
#[derive(Debug, Clone)]
#[must_use = "nothing is made before send()"]
pub struct CreateToken<'a> {
    client: &'a Client,
    body: CreateBody,
}

#[derive(Debug, Clone, Serialize)]
struct CreateBody {
    name: String,
    #[serde(rename = "expiresIn", skip_serializing_if = "Option::is_none")]
    expires_in: Option<&'static str>,
}

impl CreateToken<'_> {
    /// How long it lives. Defaults to [`Expiry::Never`].
    pub fn expires(mut self, expiry: Expiry) -> Self {
        self.body.expires_in = Some(expiry.as_str());
        self
    }

    /// Makes the token.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name is empty or longer than 64 characters; [`Server`](crate::ErrorKind::Server) if
    /// there are 10 tokens already; else as [every call](crate::rest#errors).
    pub fn send(self) -> Result<CreatedToken> {
        check::token_name(&self.body.name)?;
        self.client.post(["auth", "tokens"])?.body(&self.body)?.read(|json| {
            let RawToken { token } = answer::read(json)?;
            Ok(CreatedToken { token, info: answer::read(json)? })
        })
    }
}
