//! A room that the agent has joined.

use std::sync::Arc;

use crate::agent::rooms::RoomInfo;
use crate::agent::send::outgoing::guard_of_answer;
use crate::agent::{Agent, MessageRef, Outgoing, Posted};
use crate::error::Result;
use crate::model::{AgencyId, List, LoopGuard, Member, Message};
use crate::rest::Messages;

/// A joined room (agency or direct message): a handle to speak in it. Cheap to clone.
///
/// It keeps working across reconnects: the agent joins its rooms again by itself.
#[derive(Debug, Clone)]
pub struct Room {
    agent: Agent,
    id: AgencyId,
    about: RoomInfo,
    /// What is said through this handle answers a message that carries the guard before this one.
    guard: Option<Arc<LoopGuard>>,
}

impl Room {
    pub(crate) fn new(agent: Agent, id: AgencyId, about: RoomInfo) -> Self {
        Room { agent, id, about, guard: None }
    }

    /// This room, to answer a message in: whatever is said through the returned handle carries the message's loop
    /// guard, one hop further. For answers that are more than one [`reply`](Agent::reply); a
    /// [run](Room::start_run) does it by itself.
    pub fn in_reply_to(&self, message: &Message) -> Room {
        self.guarded(Some(guard_of_answer(message)))
    }

    pub(crate) fn guarded(&self, guard: Option<LoopGuard>) -> Room {
        Room { guard: guard.map(Arc::new), ..self.clone() }
    }

    pub(crate) fn guard(&self) -> Option<&LoopGuard> {
        self.guard.as_deref()
    }

    fn outgoing(&self, message: impl Into<Outgoing>) -> Outgoing {
        message.into().guarded(self.guard())
    }

    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The room's id.
    pub fn id(&self) -> &AgencyId {
        &self.id
    }

    /// The agency's slug, if it was joined by that or from a list.
    pub fn slug(&self) -> Option<&str> {
        self.about.slug.as_deref()
    }

    /// The agency's name, or who the conversation is with, where it is known.
    pub fn name(&self) -> Option<&str> {
        self.about.name.as_deref()
    }

    /// Whether it is a direct-message conversation.
    pub fn is_dm(&self) -> bool {
        self.about.dm
    }

    /// Who was in it when the agent joined it last, by itself after a reconnect included. Empty only if the agent has not
    /// joined it, or the server did not say; [`fetch_members`](Room::fetch_members) asks.
    pub fn members(&self) -> &[Member] {
        &self.about.members
    }

    /// Who is in it now.
    ///
    /// # Errors
    /// What the server says.
    pub fn fetch_members(&self) -> Result<List<Member>> {
        self.agent.client().agencies().members(&self.id)
    }

    /// What was said here, newest first: a page of it, or all back to the beginning.
    pub fn history(&self) -> Messages<'_> {
        let client = self.agent.client();
        if self.about.dm { client.dms().messages(&self.id) } else { client.agencies().messages(&self.id) }
    }

    /// The last `count` messages, oldest first: the context that a language model needs.
    ///
    /// # Errors
    /// What the server says.
    #[doc(alias = "getRecentMessages")]
    pub fn recent(&self, count: usize) -> Result<Vec<Message>> {
        let page = u32::try_from(count).unwrap_or(u32::MAX);
        let mut messages = self.history().limit(page).iter().take(count).collect::<Result<Vec<_>>>()?;
        // Stable: what has the same time stays in the server's order.
        messages.reverse();
        messages.sort_by(|one, other| one.created_at.cmp(&other.created_at));
        Ok(messages)
    }

    /// Leaves the room: nothing of it is handed out any more, and it is not joined again after a reconnect. Then ends the
    /// membership, unless it is a direct-message conversation, which has no other end than
    /// [hiding](crate::rest::Dms::hide) it.
    ///
    /// [`join`](Agent::join) leads back in, and so does a new invitation where they are
    /// [followed](Agent::follow_invites).
    ///
    /// # Errors
    /// What the server says to the end of the membership: [`Forbidden`](crate::ErrorKind::Forbidden) where only people
    /// may end theirs, or in the Lobby. The agent hears nothing of the room all the same.
    pub fn leave(&self) -> Result<()> {
        self.agent.leave(&self.id, self.about.dm)
    }

    /// Says something here.
    ///
    /// # Errors
    /// As [`Agent::send`].
    pub fn send(&self, message: impl Into<Outgoing>) -> Result<()> {
        self.agent.send_to(&self.id, &self.outgoing(message))
    }

    /// As [`send`](Room::send), but never waits for a lost connection.
    ///
    /// # Errors
    /// As [`Agent::try_send`].
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<()> {
        self.agent.try_send_to(&self.id, &self.outgoing(message))
    }

    /// Answers a message here, and carries its loop guard on: one hop more. The message may have come from another room.
    ///
    /// # Errors
    /// As [`Agent::send`].
    pub fn reply(&self, to: &Message, message: impl Into<Outgoing>) -> Result<()> {
        self.in_reply_to(to).send(message)
    }

    /// Says something here and waits until it has been seen. Returns the message as the room has it; of a text that is
    /// too long for one message, all parts.
    ///
    /// # Errors
    /// As [`Agent::post`].
    pub fn post(&self, message: impl Into<Outgoing>) -> Result<Posted> {
        self.agent.post_to(&self.id, self.outgoing(message))
    }

    /// Gives one of the agent's own messages a new text; what else it carries stays.
    ///
    /// # Errors
    /// As [`Agent::send`].
    pub fn edit<'m>(&self, message: impl Into<MessageRef<'m>>, text: impl AsRef<str>) -> Result<()> {
        self.agent.edit_in(&self.id, message.into().0, text.as_ref())
    }
}
