//! Reads the baselines of several rooms in parallel, while the socket joins the rooms. A baseline is the start
//! position in a room's history.

use std::collections::VecDeque;
use std::thread::Scope;

use crate::agent::history::{Delivery, DeliverySource};
use crate::model::AgencyId;
use crate::net::CancelToken;
use crate::sync::lock::{Condvar, Mutex};
use crate::threads;

/// The largest number of histories that the readers read at once.
const MAX_AT_ONCE: usize = 8;
/// The number of connections that the readers open before the number of rooms is known.
const AHEAD: usize = 4;

/// The rooms whose baselines are missing, and the threads that read them. The threads end with the scope in which they
/// were started.
pub(super) struct Baselines<'a> {
    delivery: &'a Delivery,
    source: &'a DeliverySource<'a>,
    state: Mutex<BaselinesState>,
    changed: Condvar,
    /// Cancels the opening of connections that are no longer needed.
    cancel: CancelToken,
}

#[derive(Default)]
struct BaselinesState {
    /// The rooms to read. The `bool` tells whether the room is known to be a direct conversation.
    rooms: VecDeque<(AgencyId, bool)>,
    readers: usize,
    /// No more rooms will be added.
    complete: bool,
}

/// The guard of [`Baselines::end_with_this`].
pub(super) struct BaselinesGuard<'b, 'a>(&'b Baselines<'a>);

impl Drop for BaselinesGuard<'_, '_> {
    fn drop(&mut self) {
        self.0.state.lock().rooms.clear();
        self.0.add([]);
        self.0.cancel.cancel();
    }
}

/// Counts a reader, until its thread ends.
struct ReaderGuard<'b, 'a>(&'b Baselines<'a>);

impl<'b, 'a> ReaderGuard<'b, 'a> {
    fn new(baselines: &'b Baselines<'a>) -> Self {
        baselines.state.lock().readers += 1;
        ReaderGuard(baselines)
    }
}

impl Drop for ReaderGuard<'_, '_> {
    fn drop(&mut self) {
        self.0.state.lock().readers -= 1;
        self.0.changed.notify_all();
    }
}

impl<'a> Baselines<'a> {
    pub(super) fn new(delivery: &'a Delivery, source: &'a DeliverySource<'a>) -> Self {
        let cancel = source.client.cancel_token();
        Baselines { delivery, source, state: Mutex::default(), changed: Condvar::new(), cancel }
    }

    /// Starts readers that open their connections before the caller adds any room. The handshakes run while another
    /// request fetches the list of rooms.
    pub(super) fn connect_ahead<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        for _ in 0..AHEAD {
            self.start(scope, true);
        }
    }

    /// Adds all rooms to read. Call it only once.
    pub(super) fn add(&self, rooms: impl IntoIterator<Item = (AgencyId, bool)>) {
        let mut state = self.state.lock();
        state.rooms.extend(rooms);
        state.complete = true;
        self.changed.notify_all();
    }

    /// Starts readers until there are enough readers for `rooms` rooms. At least one of these readers opens no
    /// connection in advance, so that all rooms are read even if the connections in advance hang.
    pub(super) fn start_readers<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, rooms: usize) {
        let wanted = rooms.min(MAX_AT_ONCE).saturating_sub(self.state.lock().readers);
        for _ in 0..wanted.max(rooms.min(1)) {
            self.start(scope, false);
        }
    }

    /// Waits until the readers have taken all rooms. The scope then waits until the readers have read the rooms. This
    /// thread reads rooms only if no reader is left, because this thread would have to open another connection first.
    pub(super) fn finish(&self) {
        let mut state = self.state.lock();
        while !state.rooms.is_empty() && state.readers > 0 {
            state = self.changed.wait(state);
        }
        drop(state);
        self.read_all();
    }

    /// Reads rooms until all are taken.
    fn read_all(&self) {
        while let Some((room, dm)) = self.next() {
            self.delivery.read_baseline(self.source, &room, dm);
        }
        self.cancel.cancel();
    }

    /// Returns a guard. When the guard is dropped, the readers end, also after an error or a panic.
    pub(super) fn end_with_this(&self) -> BaselinesGuard<'_, 'a> {
        BaselinesGuard(self)
    }

    fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, connect: bool) {
        let reader = ReaderGuard::new(self);
        let work: Box<dyn FnOnce() + Send + 'scope> = Box::new(move || {
            let ReaderGuard(baselines) = &reader;
            if connect {
                baselines.source.client.connect_ahead(&baselines.cancel);
            }
            baselines.read_all();
        });
        // If the thread cannot be started, `work` and its `ReaderGuard` are dropped. The other readers read all rooms.
        let _ = threads::short_lived("crustocean-history").spawn_scoped(scope, work);
    }

    fn next(&self) -> Option<(AgencyId, bool)> {
        let mut state = self.state.lock();
        loop {
            if let Some(room) = state.rooms.pop_front() {
                if state.rooms.is_empty() {
                    self.changed.notify_all();
                }
                return Some(room);
            }
            if state.complete {
                return None;
            }
            state = self.changed.wait(state);
        }
    }
}
