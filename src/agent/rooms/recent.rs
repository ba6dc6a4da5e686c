//! The last messages of a room.

use crate::agent::rooms::RoomHandle;
use crate::error::Result;
use crate::model::Message;

/// Returns the last `count` messages, oldest first.
pub(crate) fn recent(room: &RoomHandle, count: usize) -> Result<Vec<Message>> {
    let page = u32::try_from(count).unwrap_or(u32::MAX);
    let history = room.history().limit(page).iter().without_reading_ahead();
    let mut messages = history.take(count).collect::<Result<Vec<_>>>()?;
    // The sort is stable: messages with the same time keep the server's order.
    messages.reverse();
    messages.sort_by(|one, other| one.created_at.cmp(&other.created_at));
    Ok(messages)
}
