//! Where the stories of rooms begin, read from their histories side by side while the socket joins them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use crate::agent::history::{Delivery, Source};
use crate::model::AgencyId;
use crate::net::CancelToken;

/// How many histories are read at once.
const MOST_AT_ONCE: usize = 8;
/// Connections that are opened while it is not known yet how many rooms there are.
const AHEAD: usize = 4;
/// Little: it runs only our own code, a few calls deep, besides TLS handshakes.
const STACK: usize = 512 << 10;

/// Rooms whose baselines are to be read, and who reads them. Its threads end with the scope that they were started in.
pub(super) struct Baselines<'a> {
    delivery: &'a Delivery,
    source: &'a Source<'a>,
    state: Mutex<State>,
    changed: Condvar,
    /// Ends the opening of connections that nobody needs any more.
    cancel: CancelToken,
}

#[derive(Default)]
struct State {
    /// With whether each is known to be a direct conversation.
    rooms: VecDeque<(AgencyId, bool)>,
    readers: usize,
    /// No more rooms are coming.
    complete: bool,
}

/// Of [`Baselines::end_with_this`].
pub(super) struct End<'b, 'a>(&'b Baselines<'a>);

impl Drop for End<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().rooms.clear();
        self.0.add([]);
        self.0.cancel.cancel();
    }
}

impl<'a> Baselines<'a> {
    pub(super) fn new(delivery: &'a Delivery, source: &'a Source<'a>) -> Self {
        let cancel = source.client.cancel_token();
        Baselines { delivery, source, state: Mutex::default(), changed: Condvar::new(), cancel }
    }

    /// Starts readers that open their connections before there is anything to read: the handshakes take as long as the
    /// list of the rooms does.
    pub(super) fn connect_ahead<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        for _ in 0..AHEAD {
            self.start(scope, true);
        }
    }

    /// What is to be read, all of it.
    pub(super) fn add(&self, rooms: impl IntoIterator<Item = (AgencyId, bool)>) {
        let mut state = self.lock();
        state.rooms.extend(rooms);
        state.complete = true;
        self.changed.notify_all();
    }

    /// Sees to it that there are as many readers as are of use for `rooms` rooms.
    pub(super) fn start_readers<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, rooms: usize) {
        let there = self.lock().readers;
        for _ in there..rooms.min(MOST_AT_ONCE) {
            self.start(scope, false);
        }
    }

    /// Reads on this thread what nobody else has begun with. Some may still be under way then: the scope waits.
    pub(super) fn read_all(&self) {
        while let Some((room, dm)) = self.next() {
            self.delivery.read_baseline(self.source, &room, dm);
        }
        self.cancel.cancel();
    }

    /// However the scope ends, its readers do as well.
    pub(super) fn end_with_this(&self) -> End<'_, 'a> {
        End(self)
    }

    fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, connect: bool) {
        let work = move || {
            if connect {
                self.source.client.connect_ahead(&self.cancel);
            }
            self.read_all();
        };
        let builder = thread::Builder::new().name("crustocean-history".to_owned()).stack_size(STACK);
        // Without a thread the others read more.
        if builder.spawn_scoped(scope, work).is_ok() {
            self.lock().readers += 1;
        }
    }

    fn next(&self) -> Option<(AgencyId, bool)> {
        let mut state = self.lock();
        loop {
            if let Some(room) = state.rooms.pop_front() {
                return Some(room);
            }
            if state.complete {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
