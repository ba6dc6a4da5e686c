//! What a room or a message is named by.

use crate::agent::Room;
use crate::model::{Agency, AgencyId, Invitation, Message, MessageId};

/// Which room: its slug, its id, or something that has its id. What [`Agent::join`](crate::Agent::join) takes.
///
/// A text may be a slug (`lobby`, `#lobby`) or an id. Ids of other things are no rooms:
///
/// ```compile_fail,E0277
/// # fn demo(agent: &crustocean::Agent, hook: &crustocean::HookId) -> crustocean::Result<()> {
/// agent.join(hook)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RoomRef {
    /// The room with this id.
    Id(AgencyId),
    /// The room with this slug or id.
    Named(String),
}

impl From<&str> for RoomRef {
    fn from(slug_or_id: &str) -> Self {
        RoomRef::Named(slug_or_id.to_owned())
    }
}

/// What a loop over names yields.
impl From<&&str> for RoomRef {
    fn from(slug_or_id: &&str) -> Self {
        (*slug_or_id).into()
    }
}

impl From<&String> for RoomRef {
    fn from(slug_or_id: &String) -> Self {
        slug_or_id.as_str().into()
    }
}

impl From<String> for RoomRef {
    fn from(slug_or_id: String) -> Self {
        RoomRef::Named(slug_or_id)
    }
}

impl From<AgencyId> for RoomRef {
    fn from(id: AgencyId) -> Self {
        RoomRef::Id(id)
    }
}

impl From<&AgencyId> for RoomRef {
    fn from(id: &AgencyId) -> Self {
        RoomRef::Id(id.clone())
    }
}

impl From<&Agency> for RoomRef {
    fn from(agency: &Agency) -> Self {
        RoomRef::Id(agency.id.clone())
    }
}

impl From<&Invitation> for RoomRef {
    fn from(invitation: &Invitation) -> Self {
        RoomRef::Id(invitation.agency_id.clone())
    }
}

impl From<&Room> for RoomRef {
    fn from(room: &Room) -> Self {
        RoomRef::Id(room.id().clone())
    }
}

/// Which message: its id, or the message itself. What [`Room::edit`](crate::Room::edit) takes.
///
/// Ids of other things are no messages, and no texts either:
///
/// ```compile_fail,E0277
/// # fn demo(room: &crustocean::Room, run: &crustocean::RunId) -> crustocean::Result<()> {
/// room.edit(run, "a new text")?;
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0277
/// # fn demo(agent: &crustocean::Agent, msg: &crustocean::Message, run: &crustocean::RunId) -> crustocean::Result<()> {
/// agent.edit(msg, run)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MessageRef<'a>(pub(crate) &'a MessageId);

impl<'a> From<&'a MessageId> for MessageRef<'a> {
    fn from(id: &'a MessageId) -> Self {
        MessageRef(id)
    }
}

impl<'a> From<&'a Message> for MessageRef<'a> {
    fn from(message: &'a Message) -> Self {
        MessageRef(&message.id)
    }
}
