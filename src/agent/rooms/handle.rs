//! A handle to a room, for the other files of the agent. [`Room`](crate::Room) is the same for programs.

use std::fmt;
use std::sync::Arc;

use crate::agent::Outgoing;
use crate::agent::handle::AgentHandle;
use crate::agent::rooms::RoomInfo;
use crate::agent::rooms::join::JoinedRoom;
use crate::agent::send::outgoing::Answering;
use crate::model::{AgencyId, LoopGuard, Message};
use crate::rest::Messages;

/// A room of an agent.
#[derive(Clone)]
pub(crate) struct RoomHandle {
    pub(crate) agent: AgentHandle,
    pub(crate) id: AgencyId,
    pub(crate) about: RoomInfo,
    /// Set if messages sent through this handle are answers.
    answering: Option<Arc<Answering>>,
}

impl fmt::Debug for RoomHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("agent", &self.agent)
            .field("id", &self.id)
            .field("about", &self.about)
            .field("answering", &self.answering)
            .finish()
    }
}

impl RoomHandle {
    pub(crate) fn new(agent: &AgentHandle, (id, about): JoinedRoom) -> Self {
        RoomHandle { agent: agent.clone(), id, about, answering: None }
    }

    /// The room of a message.
    pub(crate) fn of(agent: &AgentHandle, message: &Message) -> Self {
        let mut about = agent.rooms.about(&message.agency_id).unwrap_or_default();
        about.dm |= message.dm;
        RoomHandle::new(agent, (message.agency_id.clone(), about))
    }

    /// The agent's home, if it has one.
    pub(crate) fn home(agent: &AgentHandle) -> Option<Self> {
        let id = agent.home.get()?;
        let about = agent.rooms.about(id).unwrap_or_default();
        Some(RoomHandle::new(agent, (id.clone(), about)))
    }

    pub(crate) fn answering(&self, answering: Option<Answering>) -> Self {
        RoomHandle { answering: answering.map(Arc::new), ..self.clone() }
    }

    /// The answer that messages sent through this handle belong to, if any.
    pub(crate) fn answered(&self) -> Option<&Answering> {
        self.answering.as_deref()
    }

    pub(crate) fn guard(&self) -> Option<&LoopGuard> {
        self.answered().map(|answering| &answering.guard)
    }

    /// The message as it is sent through this handle.
    pub(crate) fn outgoing(&self, message: Outgoing) -> Outgoing {
        message.answering(self.answered())
    }

    pub(crate) fn history(&self) -> Messages<'_> {
        let client = &self.agent.client;
        if self.about.dm { client.dms().messages(&self.id) } else { client.agencies().messages(&self.id) }
    }
}
