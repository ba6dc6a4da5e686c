//! The room that [`Agent::send`](crate::Agent::send) sends to.

use crate::agent::inner::AgentInner;
use crate::error::{Error, Result};
use crate::model::AgencyId;

/// Makes a room the home.
///
/// # Errors
/// `Invalid` if another room is the home.
pub(crate) fn set_home(agent: &AgentInner, room: &AgencyId) -> Result<()> {
    if agent.home.get_or_init(|| room.clone()) == room {
        return Ok(());
    }
    Err(Error::invalid("another room is this agent's home: send to this room with room.send(..)"))
}

/// # Errors
/// `Invalid` if the agent has no home, or has left it.
pub(crate) fn home_room(agent: &AgentInner) -> Result<&AgencyId> {
    let home = agent.home.get().ok_or_else(|| {
        Error::invalid(
            "the agent has no home room to send to: use the room that join(..) returns, or make it the home with \
             agent.set_home(&room)",
        )
    })?;
    if agent.rooms.has_left(home) {
        return Err(Error::invalid("the agent has left its home room"));
    }
    Ok(home)
}
