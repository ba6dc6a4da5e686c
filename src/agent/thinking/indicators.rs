//! The indicators that are shown.

use std::collections::HashMap;

use crate::model::AgencyId;
use crate::socket::Repeating;
use crate::sync::lock::Mutex;

/// The indicators that the rooms show, by room.
#[derive(Debug, Default)]
pub(crate) struct ThinkingIndicators(pub(super) Mutex<ThinkingState>);

#[derive(Debug, Default)]
pub(super) struct ThinkingState {
    pub(super) rooms: HashMap<AgencyId, Shown>,
    pub(super) next: u64,
}

#[derive(Debug)]
pub(super) struct Shown {
    /// The room shows the status of the last guard.
    pub(super) guards: Vec<(u64, String)>,
    pub(super) repeating: Repeating,
}

impl ThinkingIndicators {
    /// Ends all indicators of a room that the agent leaves.
    pub(crate) fn end(&self, room: &AgencyId) {
        drop(self.0.lock().rooms.remove(room));
    }

    pub(crate) fn end_all(&self) {
        self.0.lock().rooms.clear();
    }

    /// Forgets a room that the server no longer lets the agent into. A send to that room would only cause an `error`
    /// event.
    pub(crate) fn lose(&self, room: &AgencyId) {
        if let Some(shown) = self.0.lock().rooms.remove(room) {
            shown.repeating.abandon();
        }
    }
}
