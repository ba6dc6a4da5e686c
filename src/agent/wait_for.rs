//! Waits for an event in a room.

use std::time::{Duration, Instant};

use crate::agent::rooms::RoomHandle;
use crate::agent::{Event, Events};
use crate::deadline;
use crate::error::Result;

/// Implements [`Room::wait_for`](crate::Room::wait_for).
pub(super) fn wait_for(
    room: &RoomHandle,
    limit: Duration,
    mut wanted: impl FnMut(&Event) -> bool,
) -> Result<Event> {
    let until = deadline::after(limit);
    let events = Events::subscribe(&room.agent);
    loop {
        let event = events.recv_timeout(until.saturating_duration_since(Instant::now()))?;
        if event.room() == Some(&room.id) && wanted(&event) {
            return Ok(event);
        }
    }
}
