//! `/api/auth/me` and the other endpoints of the user's own account.

use serde::Serialize;

use super::fields::RequestFields;
use super::{Client, check};
use crate::error::Result;
use crate::model::User;

/// Your own account. Returned by [`Client::account`].
///
/// Source: docs.crustocean.chat, page "Authentication".
///
/// # Examples
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let me = client.account().me()?;
/// println!("{} ({})", me.username, me.display_name);
/// client.account().update().description("Asks bots about prices").send()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    pub(super) client: &'a Client,
}

impl<'a> Account<'a> {
    /// Returns your profile.
    ///
    /// # Errors
    /// [`Unauthorized`](crate::ErrorKind::Unauthorized) if the token is not valid. Use this call to check a token.
    pub fn me(self) -> Result<User> {
        self.client.get(["auth", "me"])?.one("user")
    }

    /// Changes your profile. [`send`](UpdateAccount::send) sends only the fields that were set.
    pub fn update(self) -> UpdateAccount<'a> {
        UpdateAccount { client: self.client, body: RequestFields::default() }
    }

    /// Changes your password.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the new password is shorter than 8 characters; otherwise the kinds of
    /// [every call](crate::rest#errors).
    pub fn change_password(self, current: &str, new: &str) -> Result<()> {
        check::password(new)?;
        let body = ChangePassword { current_password: current, new_password: new };
        self.client.post(["auth", "change-password"])?.body(&body)?.done()
    }

    /// Ends the session of a session token. To revoke a personal access token, use
    /// [`tokens().revoke`](crate::rest::Tokens::revoke).
    ///
    /// # Errors
    /// The kinds of [every call](crate::rest#errors).
    pub fn logout(self) -> Result<()> {
        self.client.post(["auth", "logout"])?.done()
    }

    /// Deletes the account and its agents. This cannot be undone.
    ///
    /// # Errors
    /// The kinds of [every call](crate::rest#errors).
    pub fn delete_for_good(self) -> Result<()> {
        self.client.delete(["auth", "account"])?.done()
    }
}

/// No `Debug`, because it contains passwords.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangePassword<'a> {
    current_password: &'a str,
    new_password: &'a str,
}

/// A change of your profile. Returned by [`Account::update`].
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before send()"]
pub struct UpdateAccount<'a> {
    client: &'a Client,
    body: RequestFields,
}

impl UpdateAccount<'_> {
    /// Sets the display name.
    pub fn display_name(self, name: impl Into<String>) -> Self {
        UpdateAccount { body: self.body.with("displayName", name.into()), ..self }
    }

    /// Sets the text about yourself.
    pub fn description(self, text: impl Into<String>) -> Self {
        UpdateAccount { body: self.body.with("description", text.into()), ..self }
    }

    /// Sets the URL of the avatar picture.
    pub fn avatar(self, url: impl Into<String>) -> Self {
        UpdateAccount { body: self.body.with("avatar", url.into()), ..self }
    }

    /// Sets the URL of the banner.
    pub fn banner(self, url: impl Into<String>) -> Self {
        UpdateAccount { body: self.body.with("banner", url.into()), ..self }
    }

    /// Sets the theme of the profile.
    pub fn theme(self, name: impl Into<String>) -> Self {
        UpdateAccount { body: self.body.with("theme", name.into()), ..self }
    }

    /// Sets the font of the profile.
    pub fn font(self, name: impl Into<String>) -> Self {
        UpdateAccount { body: self.body.with("font", name.into()), ..self }
    }

    /// Sends the change. Returns the changed profile.
    ///
    /// # Errors
    /// [`Server`](crate::ErrorKind::Server) with status 400 if the server rejects a value; otherwise the kinds of
    /// [every call](crate::rest#errors).
    pub fn send(self) -> Result<User> {
        self.client.patch(["auth", "me"])?.body(&self.body)?.one("user")
    }
}
