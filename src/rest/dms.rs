//! `/api/dm`.

use super::{Client, Messages};
use crate::error::Result;
use crate::model::{AgencyId, Conversation, List, OpenedConversation, UserId};

/// Direct messages. Returned by [`Client::dms`]. A conversation is a hidden agency with two members, so every
/// conversation has an [`AgencyId`].
///
/// Source: docs.crustocean.chat, page "Direct messages".
///
/// # Examples
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let bob = client.users().profile("bob")?;
/// let room = client.dms().open(&bob.id)?;
/// for message in &client.dms().messages(&room).limit(10).send()? {
///     println!("{}: {}", message.sender_username, message.content);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Dms<'a> {
    pub(super) client: &'a Client,
}

impl<'a> Dms<'a> {
    /// Lists your conversations, except hidden conversations.
    ///
    /// # Errors
    /// The kinds of [every call](crate::rest#errors).
    pub fn list(self) -> Result<List<Conversation>> {
        self.client.get(["dm"])?.list("conversations")
    }

    /// Returns the room of the conversation with a user. Starts the conversation if it does not exist. A user's id is
    /// in the [profile](crate::rest::Users::profile).
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such user; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn open(self, user: &UserId) -> Result<AgencyId> {
        let opened: OpenedConversation = self.client.post(["dm", user.as_str()])?.one("conversation")?;
        Ok(opened.agency_id)
    }

    /// The messages of a conversation, newest first.
    pub fn messages(self, id: &AgencyId) -> Messages<'a> {
        Messages::new(self.client, ["dm", id.as_str(), "messages"])
    }

    /// Hides a conversation from your list. A new message shows it again.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such conversation; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn hide(self, id: &AgencyId) -> Result<()> {
        self.client.delete(["dm", id.as_str()])?.done()
    }

    /// Deletes all messages of a conversation for both users. This cannot be undone.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such conversation; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn purge_for_good(self, id: &AgencyId) -> Result<()> {
        self.client.post(["dm", id.as_str(), "purge"])?.done()
    }
}
