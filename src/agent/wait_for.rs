//! Waits for an event in a room.

use std::time::{Duration, Instant};

use crate::agent::{Event, Room};
use crate::deadline;
use crate::error::Result;

impl Room {
    /// Waits at most `limit` for a new event of this room for which `wanted` returns `true`. The call takes no event
    /// away from other loops. To wait for the result of an action, [subscribe](crate::Agent::subscribe) before the
    /// action.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use crustocean::Event;
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// let minute = Duration::from_secs(60);
    /// let event = room.wait_for(minute, |event| matches!(event, Event::Message(msg) if msg.content == "go"))?;
    /// # let _ = event;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Timeout`](crate::ErrorKind::Timeout) if no such event comes in time; [`Closed`](crate::ErrorKind::Closed) if
    /// the agent ends.
    pub fn wait_for(&self, limit: Duration, mut wanted: impl FnMut(&Event) -> bool) -> Result<Event> {
        let until = deadline::after(limit);
        let events = self.agent().subscribe();
        loop {
            let event = events.recv_timeout(until.saturating_duration_since(Instant::now()))?;
            if event.room() == Some(self.id()) && wanted(&event) {
                return Ok(event);
            }
        }
    }
}
