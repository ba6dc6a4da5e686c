//! A room for tests: post a message, wait for an answer.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::control::conversation::somebody;
use crate::control::inspect;
use crate::error::ApiError;
use crate::realtime::post;
use crate::sandbox::Sandbox;
use crate::store::dms::open_room;
use crate::store::messages;
use crate::store::signup::create_agent;

/// A message of a room.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// The message's id.
    pub id: String,
    /// The id of the room.
    pub room: String,
    /// The sender's username; `system` for the results of commands.
    pub sender: String,
    /// The text.
    pub content: String,
    /// `chat`, `tool_result`, `action` or `system`.
    pub kind: String,
    /// The metadata as it was sent; an empty object if there is none.
    pub metadata: Value,
    /// Whether the message has been edited.
    pub edited: bool,
}

impl From<&messages::Message> for Message {
    fn from(message: &messages::Message) -> Self {
        Message {
            id: message.id.clone(),
            room: message.agency_id.clone(),
            sender: message.sender_username.clone(),
            content: message.content.clone(),
            kind: message.kind.clone(),
            metadata: message.metadata.clone(),
            edited: message.edited_at.is_some(),
        }
    }
}

fn refused(error: ApiError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error.message)
}

/// The data with which a bot under test connects: the URL, its token and a room to join.
#[derive(Clone)]
#[non_exhaustive]
pub struct AgentAccess {
    /// The agent's id.
    pub id: String,
    /// The agent's username.
    pub username: String,
    /// The agent's token.
    pub token: String,
    /// The URL of the API, for `CRUSTOCEAN_API_URL`.
    pub url: String,
    /// The slug of a room of which the agent is a member: the Lobby.
    pub room: String,
}

impl fmt::Debug for AgentAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentAccess")
            .field("username", &self.username)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A room of a sandbox. Returned by [`Sandbox::room`].
#[derive(Debug)]
pub struct Room<'s> {
    sandbox: &'s Sandbox,
    id: String,
    /// [`Room::wait_for_message`] returns only messages after this number.
    seen: Mutex<u64>,
}

impl Sandbox {
    /// Returns the data with which a bot connects as the verified agent of this name. Creates the agent if necessary,
    /// with the user `owner` as its owner.
    ///
    /// ```
    /// use crustocean_sandbox::Sandbox;
    ///
    /// let sandbox = Sandbox::start()?;
    /// let larry = sandbox.agent("larry")?;
    /// // Agent::builder().api_url(&larry.url).connect(larry.token.parse()?)?.join(&larry.room)?
    /// assert!(larry.token.starts_with("sk_") && larry.room == "lobby");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the name is not a valid username, or is taken.
    pub fn agent(&self, name: &str) -> io::Result<AgentAccess> {
        let app = &self.server.app;
        let owner = somebody(app, Some("owner")).map_err(refused)?;
        let (id, token) = create_agent(&mut app.data(), name, Some(&owner), None, true).map_err(refused)?;
        crate::realtime::emit::lobby_changed(app);
        let username = app.data().accounts.get(&id).map_err(refused)?.username.clone();
        Ok(AgentAccess { id, username, token, url: self.url().to_owned(), room: "lobby".to_owned() })
    }

    /// A room by slug or id.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use crustocean_sandbox::Sandbox;
    ///
    /// let sandbox = Sandbox::start()?;
    /// let lobby = sandbox.room("lobby")?;
    /// lobby.say("alice", "@larry hello")?; // creates alice if necessary
    /// # sandbox.say(lobby.id(), &sandbox.agent("larry")?.id, "Hello alice", serde_json::Value::Null)?;
    /// let answer = lobby.wait_for_message(Duration::from_secs(5), |message| message.sender == "larry")?;
    /// assert_eq!(answer.content, "Hello alice");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such room.
    pub fn room(&self, slug_or_id: &str) -> io::Result<Room<'_>> {
        let data = self.server.app.data();
        let room = inspect::find(&data, Some(slug_or_id)).map_err(refused)?;
        Ok(Room { sandbox: self, id: room.id.clone(), seen: Mutex::new(room.messages.count()) })
    }

    /// The direct conversation of two accounts. Creates it if necessary.
    ///
    /// # Errors
    /// If one of the accounts does not exist, or both are the same.
    pub fn dm(&self, one: &str, other: &str) -> io::Result<Room<'_>> {
        let app = &self.server.app;
        let [one, other] =
            [somebody(app, Some(one)).map_err(refused)?, somebody(app, Some(other)).map_err(refused)?];
        let id = open_room(&mut app.data(), &one, &other).map_err(refused)?.0;
        self.room(&id)
    }
}

impl Room<'_> {
    /// The room's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Posts a message as the user with this name. Creates the user if necessary. Afterwards
    /// [`wait_for_message`](Room::wait_for_message) returns only later messages.
    ///
    /// # Errors
    /// If the name is not a valid username.
    pub fn say(&self, username: &str, text: &str) -> io::Result<Message> {
        let app = &self.sandbox.server.app;
        let account = somebody(app, Some(username)).map_err(refused)?;
        // An answer cannot be older than the message.
        let before = app.data().agencies.find(&self.id).map_err(refused)?.messages.count();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = before + 1;
        let id = post::post(app, &self.id, &account, "chat", text, json!({})).map_err(io::Error::other)?;
        let data = app.data();
        let room = data.agencies.find(&self.id).map_err(refused)?;
        let message = room.messages.get(&id).ok_or_else(|| io::Error::other("the message is gone"))?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Another message may have been posted at the same time.
        *seen = message.number.min(*seen);
        Ok(message.into())
    }

    /// All messages, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.sandbox.messages(&self.id)
    }

    /// Waits for a message for which `wanted` returns true. Considers the messages after the last [`say`](Room::say)
    /// and after the last message that this method has returned. The first call considers the messages after
    /// [`Sandbox::room`]. Considers an edited message again.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) if no such message arrives within `limit`. The error lists the other
    /// messages.
    pub fn wait_for_message(
        &self,
        limit: Duration,
        mut wanted: impl FnMut(&Message) -> bool,
    ) -> io::Result<Message> {
        let app = &self.sandbox.server.app;
        let deadline = Instant::now() + limit;
        loop {
            let seen_count = app.message_signal().count();
            let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let new: Vec<(u64, Message)> = {
                let data = app.data();
                let room = data.agencies.find(&self.id).map_err(refused)?;
                let new = room.messages.iter().filter(|message| message.number > seen);
                new.map(|message| (message.number, message.into())).collect()
            };
            for (number, message) in &new {
                if wanted(message) {
                    *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = *number;
                    return Ok(message.clone());
                }
            }
            if Instant::now() >= deadline {
                let said: Vec<String> = new
                    .iter()
                    .map(|(_, message)| format!("{}: {:?}", message.sender, message.content))
                    .collect();
                let said = if said.is_empty() { "nothing was said".to_owned() } else { said.join("; ") };
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("not within {limit:?}: {said}")));
            }
            app.message_signal().wait(seen_count, deadline);
        }
    }
}
