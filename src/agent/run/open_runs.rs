//! Which runs are open, and who waits for a room.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crate::agent::run::inner::Core;
use crate::error::{Error, ErrorKind, Result};
use crate::model::AgencyId;

/// The open runs, one in a room at a time, and the threads that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct OpenRuns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: Vec<(AgencyId, Weak<Core>)>,
    /// Who comes first is first.
    waiting: VecDeque<(AgencyId, u64)>,
    next: u64,
    /// The agent has ended.
    closed: bool,
}

impl State {
    fn is_free(&self, room: &AgencyId) -> bool {
        !self.open.iter().any(|(open, _)| open == room)
    }

    fn is_next(&self, room: &AgencyId, ticket: u64) -> bool {
        let first = self.waiting.iter().find(|(waiting, _)| waiting == room);
        first.is_none_or(|(_, first)| *first == ticket)
    }
}

impl OpenRuns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the room of this run. Until when to wait for a run that is open there; `None` for not at all.
    ///
    /// # Errors
    /// `Conflict` when there is one, `Timeout` when it does not end in time, `Closed`.
    pub(super) fn add(&self, core: &Arc<Core>, until: Option<Instant>) -> Result<()> {
        let room = core.room.id();
        let mut state = self.lock();
        let ticket = state.next;
        state.next += 1;
        let taken = loop {
            if state.closed {
                break Err(Error::closed());
            }
            if state.is_free(room) && state.is_next(room, ticket) {
                state.open.push((room.clone(), Arc::downgrade(core)));
                break Ok(());
            }
            let Some(until) = until else {
                break Err(Error::new(
                    ErrorKind::Conflict,
                    "a run is open in this room: start_run(..) waits for its end",
                ));
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break Err(Error::timeout(
                    "a run is open in this room and did not end in time: end each run with complete() or error(), and \
                     drop its handles",
                ));
            }
            if !state.waiting.iter().any(|(_, waiting)| *waiting == ticket) {
                state.waiting.push_back((room.clone(), ticket));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.waiting.retain(|(_, waiting)| *waiting != ticket);
        drop(state);
        // The next one in line may go, if this one did not.
        self.changed.notify_all();
        taken
    }

    pub(super) fn remove(&self, core: &Core) {
        self.lock().open.retain(|(_, open)| !std::ptr::eq(open.as_ptr(), core));
        self.changed.notify_all();
    }

    /// Nobody waits for a room any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The agent is about to be closed: no run may hang in its room because of that. Returns them, to be dropped when it
    /// is: they may be the last handles of the agent.
    pub(crate) fn end_all(&self) -> Vec<Arc<Core>> {
        self.close();
        let open: Vec<Arc<Core>> = self.lock().open.iter().filter_map(|(_, core)| core.upgrade()).collect();
        // First all that waits here, then what takes a write.
        open.iter().for_each(|core| core.stopped.end(true));
        open.iter().for_each(|core| core.give_up());
        open
    }
}
