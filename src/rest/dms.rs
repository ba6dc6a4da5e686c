//! `/api/dm`.

use super::{Client, Messages};
use crate::error::Result;
use crate::model::{AgencyId, Conversation, List, OpenedConversation, UserId};

/// Direct messages: [`Client::dms`]. A conversation is a hidden agency with two members, so it has an [`AgencyId`].
///
/// docs.crustocean.chat, page "Direct messages".
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
    /// All your conversations that are not hidden.
    ///
    /// # Errors
    /// As [every call](crate::rest#errors).
    pub fn list(self) -> Result<List<Conversation>> {
        self.client.get(["dm"])?.list("conversations")
    }

    /// The room of the conversation with a user, made if there is none. The id is in the user's
    /// [profile](crate::rest::Users::profile).
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such user; else as [every call](crate::rest#errors).
    pub fn open(self, user: &UserId) -> Result<AgencyId> {
        let opened: OpenedConversation = self.client.post(["dm", user.as_str()])?.one("conversation")?;
        Ok(opened.agency_id)
    }

    /// What was said in a conversation, newest first.
    pub fn messages(self, id: &AgencyId) -> Messages<'a> {
        Messages::new(self.client, ["dm", id.as_str(), "messages"])
    }

    /// Hides a conversation from your list; a new message brings it back.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such conversation; else as [every
    /// call](crate::rest#errors).
    pub fn hide(self, id: &AgencyId) -> Result<()> {
        self.client.delete(["dm", id.as_str()])?.done()
    }

    /// Deletes all messages of a conversation for both sides, for good.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such conversation; else as [every
    /// call](crate::rest#errors).
    pub fn purge_for_good(self, id: &AgencyId) -> Result<()> {
        self.client.post(["dm", id.as_str(), "purge"])?.done()
    }
}
