//! A room that the agent has joined.

use crate::agent::{Agent, Outgoing};
use crate::error::Result;
use crate::model::{AgencyId, Member, Message, MessageId};

/// A joined room (agency or direct message): a handle to speak in it. Cheap to clone.
///
/// It keeps working across reconnects: the agent joins its rooms again by itself.
#[derive(Debug, Clone)]
pub struct Room {
    agent: Agent,
    id: AgencyId,
    members: Vec<Member>,
}

impl Room {
    pub(crate) fn new(agent: Agent, id: AgencyId, members: Vec<Member>) -> Self {
        Room { agent, id, members }
    }

    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The room's id.
    pub fn id(&self) -> &AgencyId {
        &self.id
    }

    /// Who was in it when it was joined.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Says something here.
    ///
    /// # Errors
    /// As [`Agent::send`].
    pub fn send(&self, message: impl Into<Outgoing>) -> Result<()> {
        self.agent.send_to(&self.id, &message.into())
    }

    /// Says something here and waits until it has been seen.
    ///
    /// # Errors
    /// As [`Agent::post`].
    pub fn post(&self, message: impl Into<Outgoing>) -> Result<Message> {
        self.agent.post_to(&self.id, message.into())
    }

    /// As [`post`](Room::post), which returns the first part of a long message: this returns all of them.
    ///
    /// # Errors
    /// As [`Agent::post`].
    pub fn post_all(&self, message: impl Into<Outgoing>) -> Result<Vec<Message>> {
        self.agent.post_all_to(&self.id, message.into())
    }

    /// Gives one of the agent's own messages a new text.
    ///
    /// # Errors
    /// As [`Agent::send`].
    pub fn edit(&self, message: &MessageId, text: impl AsRef<str>) -> Result<()> {
        self.agent.edit_in(&self.id, message, text.as_ref())
    }
}
