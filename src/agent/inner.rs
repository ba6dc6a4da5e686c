//! The state of an agent, which all its handles share. The other files of the agent work on it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use crate::agent::closing::Closing;
use crate::agent::event::Event;
use crate::agent::history::{Delivery, HistoryPosition};
use crate::agent::listeners::Listeners;
use crate::agent::memory::Memory;
use crate::agent::options::AgentOptions;
use crate::agent::recent_ids::RecentIds;
use crate::agent::respond::asks::Asks;
use crate::agent::rooms::{Following, Rooms};
use crate::agent::run::OpenRuns;
use crate::agent::send::long_send_lock::LongSendLock;
use crate::agent::send::metadata_support::MetadataSupport;
use crate::agent::thinking::ThinkingIndicators;
use crate::deadline;
use crate::error::Result;
use crate::model::{AgencyId, User};
use crate::rest::Client;
use crate::socket::Session;
use crate::sync::lock::Mutex;

/// The state of an agent.
pub(crate) struct AgentInner {
    pub(super) session: Session,
    pub(super) client: Client,
    pub(super) me: Arc<User>,
    pub(super) rooms: Arc<Rooms>,
    pub(super) following: Following,
    pub(super) delivery: Delivery,
    pub(super) listeners: Arc<Listeners>,
    /// Allows the program one `join` call at a time, because an `error` event of the server does not say which call
    /// failed.
    pub(super) joining: Mutex<()>,
    pub(super) metadata_support: MetadataSupport,
    /// Allows only one long message (of several parts) at a time.
    pub(super) long_send_lock: LongSendLock,
    pub(super) runs: OpenRuns,
    pub(super) thinking_indicators: Arc<ThinkingIndicators>,
    pub(super) own_results: Mutex<RecentIds<64>>,
    pub(super) asks: Asks,
    /// Answers that `ask` returns.
    pub(super) taken: Mutex<RecentIds<1024>>,
    pub(super) closing: Closing,
    pub(super) home: OnceLock<AgencyId>,
    /// The memory that survives a restart. `None` if the agent remembers nothing.
    pub(super) memory: Option<Arc<dyn Memory>>,
    pub(super) options: AgentOptions,
}

impl fmt::Debug for AgentInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("username", &self.me.username)
            .field("connected", &self.session.is_up())
            .field("rooms", &self.rooms.all())
            .finish()
    }
}

impl AgentInner {
    /// The position after which a room's messages are new, and whether the room is a direct conversation.
    pub(super) fn position(&self, room: &AgencyId) -> (HistoryPosition, bool) {
        self.delivery.position(room)
    }

    pub(super) fn has_left(&self, room: &AgencyId) -> bool {
        self.rooms.has_left(room)
    }

    /// Whether the agent has ended, or its `Stop` was stopped.
    pub(super) fn is_closed(&self) -> bool {
        self.closing.is_about_to_stop() || self.session.is_over()
    }

    /// Emits an event. Waits for the connection up to the `send_timeout`.
    pub(super) fn emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        self.session.emit(name, payload, deadline::after(self.options.send_timeout))
    }

    /// Queues an event that is not from the session.
    pub(super) fn queue_event(&self, event: Event) {
        self.delivery.push(event);
        self.session.wake_reader();
    }
}
