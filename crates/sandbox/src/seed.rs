//! Creates accounts, rooms and messages for a test, without requests.

use std::fmt;
use std::io;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::demo;
use crate::error::ApiError;
use crate::realtime::{emit, notify, post};
use crate::room::Message;
use crate::sandbox::Sandbox;
use crate::store::agencies::{Agency, ROLES};
use crate::store::signup::{create_agent, create_user};
use crate::store::{Data, messages};

/// The id and the token of an account.
#[derive(Clone)]
#[non_exhaustive]
pub struct Credentials {
    /// The account's id.
    pub id: String,
    /// A user's personal access token, or an agent's agent token.
    pub token: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

fn refused(error: ApiError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error.message)
}

impl Sandbox {
    /// The tokens of the user `demo` and of the agent `mybot`, if this sandbox has a [demo](crate::Builder::demo).
    #[must_use]
    pub fn demo(&self) -> Option<(Credentials, Credentials)> {
        let tokens = self.server.app.demo()?;
        let data = self.server.app.data();
        let id = |name| data.accounts.find(name).map(|account| account.id.clone());
        let user = Credentials { id: id(demo::USER)?, token: tokens.user.clone() };
        Some((user, Credentials { id: id(demo::AGENT)?, token: tokens.agent.clone() }))
    }

    /// The password of every user that [`Sandbox::add_user`] creates.
    pub const PASSWORD: &'static str = demo::PASSWORD;

    /// Creates a user. The token is a personal access token that never expires.
    ///
    /// # Errors
    /// If the username is taken or not valid.
    pub fn add_user(&self, username: &str) -> io::Result<Credentials> {
        let made = {
            let mut data = self.server.app.data();
            let id = create_user(&mut data, username, Self::PASSWORD, username).map_err(refused)?;
            let token = data.tokens.seed_personal(&id).map_err(refused)?;
            Credentials { id, token }
        };
        emit::lobby_changed(&self.server.app);
        Ok(made)
    }

    /// Creates a verified agent that belongs to a user. The token is its agent token.
    ///
    /// # Errors
    /// If the name is taken or there is no such owner.
    pub fn add_agent(&self, name: &str, owner_id: &str) -> io::Result<Credentials> {
        let made = {
            let mut data = self.server.app.data();
            data.accounts.get(owner_id).map_err(refused)?;
            let (id, token) = create_agent(&mut data, name, Some(owner_id), None, true).map_err(refused)?;
            Credentials { id, token }
        };
        emit::lobby_changed(&self.server.app);
        Ok(made)
    }

    /// Creates a public agency that belongs to a user. Returns its id.
    ///
    /// # Errors
    /// If there is no such owner.
    pub fn add_agency(&self, name: &str, owner_id: &str) -> io::Result<String> {
        let mut data = self.server.app.data();
        data.accounts.get(owner_id).map_err(refused)?;
        let agency = data.agencies.add(Agency {
            name: name.to_owned(),
            owner: Some(owner_id.to_owned()),
            ..Agency::default()
        });
        agency.add_member(owner_id, "owner");
        Ok(agency.id.clone())
    }

    /// Sets the role of a member: `owner`, `admin`, `moderator` or `member`. A second `owner` only has the name of the
    /// role, not its rights.
    ///
    /// # Errors
    /// If there is no such agency, member or role.
    pub fn set_role(&self, agency_id: &str, account_id: &str, role: &str) -> io::Result<()> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
        let role = ROLES.into_iter().find(|known| *known == role);
        let role = role.ok_or_else(|| invalid("no such role"))?;
        let mut data = self.server.app.data();
        let agency = data.agencies.find_mut(agency_id).map_err(refused)?;
        let member = agency.members.iter_mut().find(|member| member.account == account_id);
        member.ok_or_else(|| invalid("not a member"))?.role = role;
        Ok(())
    }

    /// Deletes a message, as its author does in the web client. No request for this is documented.
    ///
    /// # Errors
    /// If there is no such agency or message.
    pub fn delete_message(&self, agency_id: &str, message_id: &str) -> io::Result<()> {
        let gone = {
            let mut data = self.server.app.data();
            let messages = &mut data.agencies.find_mut(agency_id).map_err(refused)?.messages;
            messages.remove(message_id)
        };
        let gone = gone.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such message"))?;
        notify::notify_message(&self.server.app, &gone, "message.deleted");
        Ok(())
    }

    /// The id of the Lobby.
    #[must_use]
    pub fn lobby_id(&self) -> String {
        self.server.app.data().agencies.lobby_id().to_owned()
    }

    /// Posts a chat message as an account, which need not be connected. Returns the message's id. `metadata` may be
    /// `null`, an object, or a string, which stays unchanged.
    ///
    /// # Errors
    /// If there is no such agency or account.
    pub fn say(
        &self,
        agency_id: &str,
        account_id: &str,
        content: &str,
        metadata: Value,
    ) -> io::Result<String> {
        let metadata = if metadata.is_null() { json!({}) } else { metadata };
        post::post(&self.server.app, agency_id, account_id, "chat", content, metadata)
            .map_err(|message| io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    /// Posts a message whose form in the history is altered from the start.
    /// [`alter_in_history`](Sandbox::alter_in_history) alters a message that clients may already have read.
    ///
    /// # Errors
    /// If there is no such agency or account, or the result of `alter` is not JSON.
    pub fn say_altered(
        &self,
        agency_id: &str,
        account_id: &str,
        content: &str,
        alter: impl FnOnce(Value) -> String,
    ) -> io::Result<String> {
        let app = &self.server.app;
        let refused = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
        let make = |data: &Data| -> io::Result<_> {
            let sender = data.accounts.get(account_id).map_err(|refusal| refused(refusal.message))?;
            let room = data.agencies.get(agency_id).ok_or_else(|| refused("Agency not found".to_owned()))?;
            Ok(messages::Message::new((&room.id, room.dm), sender, "chat", content, json!({})))
        };
        let message = post::publish_with(app, make, |message| {
            app.faults().alter(&message.id, RawValue::from_string(alter(message.json(true)))?);
            Ok(())
        })?;
        Ok(message.id)
    }

    /// All messages of a room, oldest first. Empty if there is no such room.
    #[must_use]
    pub fn messages(&self, agency_id: &str) -> Vec<Message> {
        let data = self.server.app.data();
        let messages = data.agencies.find(agency_id).map(|agency| agency.messages.iter());
        messages.into_iter().flatten().map(Message::from).collect()
    }
}
