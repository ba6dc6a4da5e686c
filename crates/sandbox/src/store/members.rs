//! The members of an agency, as clients see them.

use serde_json::{Value, json};

use crate::store::agencies::Agency;
use crate::store::data::Data;

/// The member list, as in `agency-joined`.
pub(crate) fn members_json(data: &Data, agency: &Agency) -> Value {
    let known = agency.members.iter().filter_map(|member| {
        let account = data.accounts.get(&member.account).ok()?;
        Some(json!({
            "id": account.id,
            "username": account.username,
            "displayName": account.display_name,
            "type": account.kind(),
            "role": member.role,
        }))
    });
    known.collect()
}

/// The readable name of a room: its slug, or the names of the two accounts in a direct conversation.
pub(crate) fn room_name(data: &Data, room: &Agency) -> String {
    if !room.dm {
        return room.slug.clone();
    }
    let names = room.members.iter().filter_map(|member| data.accounts.get(&member.account).ok());
    names.map(|account| format!("@{}", account.username)).collect::<Vec<_>>().join(",")
}
