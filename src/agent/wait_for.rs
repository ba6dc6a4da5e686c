//! Waiting for something in a room, beside all loops.

use std::time::{Duration, Instant};

use crate::agent::{Event, Room};
use crate::deadline;
use crate::error::Result;

impl Room {
    /// Waits for an event of this room that comes from now on, `limit` at most, without taking it away from any loop. To hear
    /// what an action sets off, [subscribe](crate::Agent::subscribe) before it.
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
    /// [`Timeout`](crate::ErrorKind::Timeout) if there is none in time, [`Closed`](crate::ErrorKind::Closed) if the agent ends.
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
