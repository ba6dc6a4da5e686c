//! Direct messages: hidden agencies with two members.

use crate::error::{ApiError, ApiResult};
use crate::store::agencies::Agency;
use crate::store::data::Data;

/// The room of two accounts, and whether this call has created it.
pub(crate) fn open_room(data: &mut Data, one: &str, other: &str) -> ApiResult<(String, bool)> {
    data.accounts.get(one)?;
    data.accounts.get(other)?;
    if one == other {
        return Err(ApiError::bad_request("You cannot message yourself"));
    }
    let rooms = data.agencies.all();
    if let Some(room) = rooms.iter().find(|room| room.dm && room.is_member(one) && room.is_member(other)) {
        return Ok((room.id.clone(), false));
    }
    let room = data.agencies.add(Agency {
        name: "Direct message".to_owned(),
        private: true,
        dm: true,
        ..Agency::default()
    });
    room.add_member(one, "member");
    room.add_member(other, "member");
    Ok((room.id.clone(), true))
}
