//! Events that a session sends automatically: repeated events, and events that wait for the next connection.
//!
//! The background thread sends these events. The lock [`SessionCore::event_order`] keeps related events in order.
//! Threads take it before the state's lock, and may hold it while they send an event.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tungstenite::Utf8Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::socket::protocol::socket_io;
use crate::socket::session::core::SessionCore;
use crate::socket::session::session_log::note;
use crate::sync::MutexGuard;

/// An event that the session repeats until this value is dropped.
pub(crate) struct Repeating {
    core: Arc<SessionCore>,
    id: u64,
    every: Duration,
    last: Utf8Bytes,
    abandoned: bool,
}

impl std::fmt::Debug for Repeating {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repeating").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SessionCore {
    /// Sends an event now, again after each `every`, and after each reconnect. Sends `last` when the returned guard is
    /// dropped. Does not wait for a connection: if the connection is down, the session sends the event on the next
    /// connection.
    ///
    /// # Errors
    /// `Invalid`, `Closed`.
    pub(crate) fn repeat(
        self: &Arc<Self>,
        name: &str,
        payload: &impl Serialize,
        last: &impl Serialize,
        every: Duration,
    ) -> Result<Repeating> {
        self.check_process()?;
        let last = Utf8Bytes::from(socket_io::encode_event(name, None, last)?);
        let id = self.lock().fresh_id();
        let repeating = Repeating { core: Arc::clone(self), id, every, last, abandoned: false };
        repeating.set(name, payload)?;
        Ok(repeating)
    }

    /// Sends an event now, or as soon as the connection is back. Does not wait for a connection. Returns true if it has
    /// sent the event now. The session repeats an event that may or may not have arrived, so a second copy must do no
    /// harm.
    ///
    /// # Errors
    /// `Invalid`, `Closed`.
    pub(crate) fn deliver(&self, name: &str, payload: &impl Serialize) -> Result<bool> {
        self.check_process()?;
        self.deliver_frame(socket_io::encode_event(name, None, payload)?.into())
    }
}

impl Repeating {
    /// Continues with another payload, and sends it now.
    ///
    /// # Errors
    /// `Invalid`, `Closed`.
    pub(crate) fn set(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        let frame = Utf8Bytes::from(socket_io::encode_event(name, None, payload)?);
        let _in_order = self.core.lock_event_order();
        let blocked = {
            let mut state = self.core.lock();
            let before = state.scheduled.next_due();
            state.scheduled.set(self.id, frame.clone(), self.every);
            let sooner =
                before.is_none_or(|before| state.scheduled.next_due().is_some_and(|due| due < before));
            // A sleeping background thread must set a new wake-up time.
            self.core.wake_background(&mut state);
            let blocked = sooner && std::mem::take(&mut state.background_blocked);
            state.connection().filter(|_| blocked).cloned()
        };
        if let Some(connection) = blocked {
            // The background thread is blocked in `read`: the answer to this ping wakes it.
            connection.wake();
        }
        self.core.send_if_up(&frame)
    }

    /// Ends the repetition without sending the last event.
    pub(crate) fn abandon(mut self) {
        self.abandoned = true;
        self.core.lock().scheduled.remove(self.id);
    }
}

impl Drop for Repeating {
    fn drop(&mut self) {
        if self.abandoned || self.core.check_process().is_err() {
            return;
        }
        let _in_order = self.core.lock_event_order();
        self.core.lock().scheduled.remove(self.id);
        if let Err(error) = self.core.deliver_frame(self.last.clone()) {
            note!(self.core.log, Debug, "cannot send the last repeated event: {error}");
        }
    }
}

impl SessionCore {
    fn lock_event_order(&self) -> MutexGuard<'_, ()> {
        self.event_order.lock()
    }

    /// Sends a frame if a connection is up. A connection that is down or breaks is not an error.
    fn send_if_up(&self, frame: &Utf8Bytes) -> Result<()> {
        let Some((connection, generation)) = self.lock().connection_if_up()? else { return Ok(()) };
        self.send_on(&connection, generation, frame).map(drop).or_else(unless_broken)
    }

    fn deliver_frame(&self, frame: Utf8Bytes) -> Result<bool> {
        loop {
            let (connection, generation) = {
                let mut state = self.lock();
                let Some(up) = state.connection_if_up()? else {
                    state.scheduled.leave(frame, &self.log);
                    return Ok(false);
                };
                up
            };
            match self.send_on(&connection, generation, &frame) {
                Ok(_) => return Ok(true),
                // That connection is over: the next connection gets the frame.
                Err(error) => unless_broken(error)?,
            }
        }
    }

    /// Sends the due events. The background thread or a worker calls this without the state's lock.
    pub(crate) fn send_due(&self) {
        let _in_order = self.lock_event_order();
        let frames = self.lock().scheduled.take_due();
        for frame in frames {
            if let Err(error) = self.send_if_up(&frame) {
                note!(self.log, Debug, "cannot send a repeated event: {error}");
            }
        }
    }
}

/// A connection that was down, or broke during the send, is no error here.
fn unless_broken(error: Error) -> Result<()> {
    match error.kind() {
        ErrorKind::NotSent | ErrorKind::MaybeSent => Ok(()),
        _ => Err(error),
    }
}
