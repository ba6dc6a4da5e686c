//! Delivers events from the session's queue to the loops: each event once, in order, and no newer event before a gap
//! is filled.
//!
//! One rule ensures order and completeness: an event is taken from the queue *and* noted in its room's [`Cursor`] in
//! one step, under one lock. So a cursor covers all events that arrived before, whichever thread delivers them and
//! however long it takes.
//!
//! A reconnect or a full queue leaves a gap in every room. While a room has a gap, its messages and edits are held;
//! other events pass. [Helpers](super::fill) read the histories and hand the missed messages over. The lock is never
//! held during a request, and no user code runs under it.

use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use crate::agent::event::Event;
use crate::agent::history::cursor::HistoryPosition;
use crate::agent::history::fill;
use crate::agent::history::shared::Shared;
use crate::agent::history::state::State;
use crate::agent::memory::Memory;
use crate::error::Error;
use crate::model::AgencyId;
use crate::rest::Client;
use crate::socket::{LogQueue, Session};

/// The sources of events and of missed messages.
pub(crate) struct Source<'a> {
    pub(crate) session: &'a Session,
    pub(crate) client: &'a Client,
}

/// Hands out the events of a session in order, with the missed ones between them. Dropping it stops the helpers.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(super) shared: Arc<Shared>,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Delivery {
    pub(crate) fn new(log: LogQueue, memory: Option<Arc<Memory>>) -> Self {
        Delivery { shared: Arc::new(Shared::new(log, memory)) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// Whether the agent remembers across restarts. Then a room's history must be read before the join: the messages on the
    /// page count as done, and must not arrive live as well.
    pub(crate) fn remembers(&self) -> bool {
        self.shared.memory.is_some()
    }

    /// Forgets the room's position.
    pub(crate) fn forget(&self, room: &AgencyId) {
        self.lock().close_room(room);
    }

    /// How many rooms have a gap, and how many gaps could not be filled.
    pub(crate) fn gaps(&self) -> (usize, u64) {
        let state = self.lock();
        (state.rooms.values().filter(|room| room.gap.is_some()).count(), state.not_filled)
    }

    /// Queues an event that is not from the session. Wakes no thread.
    pub(crate) fn push(&self, event: Event) {
        self.lock().push(event, 0);
    }

    /// The position after which messages in the room's history are new, and whether it is a direct conversation.
    pub(crate) fn position(&self, room: &AgencyId) -> (HistoryPosition, bool) {
        let state = self.lock();
        state
            .rooms
            .get(room)
            .map_or((HistoryPosition::Unknown, false), |room| (room.cursor.since(), room.cursor.dm))
    }

    /// When a waiting consumer must check again, because a gap is closed then.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lock().deadline
    }

    /// The next event that is ready, if there is one.
    pub(crate) fn take(&self, source: &Source<'_>) -> Option<Event> {
        let mut state = self.lock();
        let session = source.session;
        let event =
            state.next(&mut || session.take(), &mut |generation| session.report_broken_event(generation));
        if std::mem::take(&mut state.missed) {
            self.shared.set_missed();
        }
        // A notification is a system call, even if nobody waits.
        let notify = state.waiting > 0;
        let more = event.is_some() && !state.ready.is_empty();
        for _ in 0..state.helpers_wanted() {
            let helper = fill::start(Arc::clone(&self.shared), source.client.clone(), source.session.waker());
            if let Err(error) = helper {
                state.helpers -= 1;
                state.give_up_jobs(&error);
            }
        }
        drop(state);
        if notify {
            self.shared.notify_helpers();
        }
        if more {
            // The other events are for other threads: this thread may handle its event for minutes.
            source.session.nudge();
        }
        event
    }

    /// Whether something was missed since the last call.
    pub(crate) fn take_missed(&self) -> bool {
        self.shared.take_missed()
    }

    /// The session has ended and the queue is empty: closes the remaining gaps.
    pub(crate) fn end(&self) {
        self.stop();
        let mut state = self.lock();
        for room in state.rooms_with_gaps() {
            state.close_gap(&room, Some(Error::closed()));
        }
    }

    /// Stops the helpers when their requests end.
    pub(crate) fn stop(&self) {
        self.shared.stop();
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
