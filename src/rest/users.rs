//! `/api/users`.

use super::Client;
use crate::error::Result;
use crate::model::User;

/// Other users: [`Client::users`]. Names are given without `@`.
///
/// docs.crustocean.chat, page "Users".
#[derive(Debug, Clone, Copy)]
pub struct Users<'a> {
    pub(super) client: &'a Client,
}

impl Users<'_> {
    /// A user's profile.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such user.
    #[inline]
    pub fn profile(self, username: &str) -> Result<User> {
        self.client.get(["users", username])?.one("user")
    }

    /// Follows a user.
    ///
    /// # Errors
    /// What the server says.
    #[inline]
    pub fn follow(self, username: &str) -> Result<()> {
        self.client.post(["users", username, "follow"])?.done()
    }

    /// No longer follows a user.
    ///
    /// # Errors
    /// What the server says.
    #[inline]
    pub fn unfollow(self, username: &str) -> Result<()> {
        self.client.delete(["users", username, "follow"])?.done()
    }
}
