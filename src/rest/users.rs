//! `/api/users`.

use super::Client;
use crate::error::Result;
use crate::model::User;

/// Other users. Returned by [`Client::users`]. Pass names without `@`.
///
/// Source: docs.crustocean.chat, page "Users".
///
/// # Examples
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let bob = client.users().profile("bob")?;
/// println!("{} is {}", bob.username, bob.display_name);
/// client.users().follow("bob")?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Users<'a> {
    pub(super) client: &'a Client,
}

impl Users<'_> {
    /// Returns a user's profile.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such user.
    pub fn profile(self, username: &str) -> Result<User> {
        self.client.get(["users", username])?.one("user")
    }

    /// Follows a user.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such user; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn follow(self, username: &str) -> Result<()> {
        self.client.post(["users", username, "follow"])?.done()
    }

    /// Stops following a user.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such user; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn unfollow(self, username: &str) -> Result<()> {
        self.client.delete(["users", username, "follow"])?.done()
    }
}
