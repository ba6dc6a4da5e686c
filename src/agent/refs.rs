//! Types that identify a room or a message.

use crate::model::{Agency, AgencyId, Invitation, Message, MessageId};

/// Identifies a room: by slug, by id, or by something that has the room's id. [`Agent::join`](crate::Agent::join)
/// takes it.
///
/// A text may be a slug (`lobby`, `#lobby`) or an id. Ids of other types do not compile:
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

/// The item type of a loop over names.
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

/// Identifies a message: by its id or by the message itself. [`Room::edit`](crate::Room::edit) takes it.
///
/// Ids of other types and plain texts do not compile:
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
