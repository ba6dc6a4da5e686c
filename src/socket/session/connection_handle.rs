//! A handle that is bound to one connection of a session.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use tungstenite::Utf8Bytes;

use crate::error::Result;
use crate::socket::protocol::socket_io;
use crate::socket::session::connection::Connection;
use crate::socket::session::core::SessionCore;
use crate::socket::session::queue::Item;
use crate::socket::session::subscriber::{Filter, Needle};
use crate::socket::session::subscription::EventSubscription;
use crate::sync::AtomicU64;

/// A handle bound to one connection, to send and to subscribe. Operations fail after a reconnect.
pub(crate) struct ConnectionHandle<'a> {
    core: &'a SessionCore,
    pub(super) connection: Arc<Connection>,
    pub(crate) generation: u64,
    /// The number of the last event that this handle has sent.
    last: AtomicU64,
}

impl<'a> ConnectionHandle<'a> {
    pub(crate) fn new(core: &'a SessionCore, connection: Arc<Connection>, generation: u64) -> Self {
        ConnectionHandle { core, connection, generation, last: AtomicU64::new(0) }
    }

    /// # Errors
    /// `MaybeSent` or `NotSent` when the connection is over, `Invalid` when the payload cannot be sent.
    pub(crate) fn emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        let frame = Utf8Bytes::from(socket_io::encode_event(name, None, payload)?);
        let number = self.core.send_on(&self.connection, self.generation, &frame)?;
        self.last.fetch_max(number, Ordering::Relaxed);
        Ok(())
    }

    /// Confirms the events of this handle, because the server has sent something that proves their arrival.
    pub(crate) fn confirm(&self) {
        self.connection.confirm(self.last.load(Ordering::Relaxed));
    }

    /// Collects events from now on, until the returned guard is dropped.
    pub(crate) fn subscribe(&self, filter: Filter) -> EventSubscription<&'a SessionCore> {
        EventSubscription::new(self.core, Some(self.generation), None, filter)
    }

    /// Like [`subscribe`](ConnectionHandle::subscribe), for events that contain a text.
    pub(crate) fn subscribe_to(&self, needle: Needle, filter: Filter) -> EventSubscription<&'a SessionCore> {
        EventSubscription::new(self.core, Some(self.generation), Some(needle), filter)
    }

    /// Whether this is still the session's last connection. It may be lost nevertheless.
    pub(crate) fn is_current(&self) -> bool {
        self.core.lock().generation == self.generation
    }

    /// Adds an item to the queue of the consumers.
    pub(crate) fn push(&self, item: Item) {
        self.core.push(&mut self.core.lock(), item);
    }
}
