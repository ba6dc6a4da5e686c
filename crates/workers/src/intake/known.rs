//! The data that an intake's process keeps over all its terms.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crustocean::model::{AgencyId, MessageId};

/// How many ids of questions the process keeps.
const MAX_STORED: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The time from which on each room's messages count, in ms.
    origins: HashMap<AgencyId, i64>,
    /// The ids of questions that Redis has.
    stored: HashSet<MessageId>,
    /// The same ids, oldest first.
    order: VecDeque<MessageId>,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stored(&self, id: &MessageId) -> bool {
        self.lock().stored.contains(id)
    }

    pub(super) fn mark_stored(&self, id: &MessageId) {
        let mut state = self.lock();
        if state.stored.insert(id.clone()) {
            state.order.push_back(id.clone());
            if state.order.len() > MAX_STORED
                && let Some(oldest) = state.order.pop_front()
            {
                state.stored.remove(&oldest);
            }
        }
    }

    pub(super) fn origin(&self, room: &AgencyId) -> Option<i64> {
        self.lock().origins.get(room).copied()
    }

    /// Sets the origin of a room, unless it is set already.
    pub(super) fn set_origin(&self, room: &AgencyId, origin: i64) {
        self.lock().origins.entry(room.clone()).or_insert(origin);
    }
}
