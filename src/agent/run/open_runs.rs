//! The open runs, and the threads that wait for a room.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::model::AgencyId;
use crate::sync::lock::{Condvar, Mutex};

/// The methods of a run that the end of the agent calls. This is a trait, so that a program that starts no run does not
/// contain the code of runs.
pub(crate) trait OpenRun: std::fmt::Debug + Send + Sync {
    /// Ends the waits of the run's handles.
    fn end_waits(&self);
    /// Ends the run, because the agent ends. Takes about 50 ms at most.
    fn give_up(&self);
}

/// The open runs, at most one per room, and the threads that wait for a room.
#[derive(Debug, Default)]
pub(crate) struct OpenRuns {
    state: Mutex<OpenRunsState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct OpenRunsState {
    open: Vec<(AgencyId, Weak<dyn OpenRun>)>,
    /// In the order of arrival.
    waiting: VecDeque<(AgencyId, u64)>,
    next: u64,
    /// The agent has ended.
    closed: bool,
}

impl OpenRunsState {
    fn is_free(&self, room: &AgencyId) -> bool {
        !self.open.iter().any(|(open, _)| open == room)
    }

    fn is_next(&self, room: &AgencyId, ticket: u64) -> bool {
        let first = self.waiting.iter().find(|(waiting, _)| waiting == room);
        first.is_none_or(|(_, first)| *first == ticket)
    }
}

impl OpenRuns {
    /// Reserves the room for this run. `until`: how long to wait for another open run in the room; `None` means not at
    /// all.
    ///
    /// # Errors
    /// `Conflict` if the room has an open run, `Timeout` if that run does not end in time, `Closed` if the agent has
    /// ended.
    pub(super) fn add(&self, room: &AgencyId, run: Weak<dyn OpenRun>, until: Option<Instant>) -> Result<()> {
        let mut state = self.state.lock();
        let ticket = state.next;
        state.next += 1;
        let taken = loop {
            if state.closed {
                break Err(Error::closed());
            }
            if state.is_free(room) && state.is_next(room, ticket) {
                state.open.push((room.clone(), run));
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
            state = self.changed.wait_timeout(state, left);
        };
        state.waiting.retain(|(_, waiting)| *waiting != ticket);
        drop(state);
        // If this thread did not get the room, the next thread may get it.
        self.changed.notify_all();
        taken
    }

    pub(super) fn remove(&self, run: &dyn OpenRun) {
        self.state.lock().open.retain(|(_, open)| !std::ptr::addr_eq(open.as_ptr(), run));
        self.changed.notify_all();
    }

    /// Ends all waits for a room.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Ends all runs before the agent is closed, so that no run stays open in its room. Returns the runs. The caller
    /// must drop them after closing, because they may hold the last handles of the agent.
    pub(crate) fn end_all(&self) -> Vec<Arc<dyn OpenRun>> {
        self.close();
        let open: Vec<_> = self.state.lock().open.iter().filter_map(|(_, run)| run.upgrade()).collect();
        // End the waits of all runs first, then send the ends.
        open.iter().for_each(|run| run.end_waits());
        open.iter().for_each(|run| run.give_up());
        open
    }
}
