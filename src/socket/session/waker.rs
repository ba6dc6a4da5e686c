//! How other threads wake the consumers of a session.

use std::sync::Arc;

use crate::socket::session::core::SessionCore;

impl SessionCore {
    /// Tells the consumers that another source has something for them: one waiting consumer returns early with
    /// [`Waited::Nothing`](crate::socket::session::reader::Waited).
    pub(crate) fn wake(&self) {
        let mut state = self.lock();
        state.woken = true;
        state.notify_driver_of_items();
        drop(state);
        self.consumers.notify_one();
    }

    /// Like [`wake`](SessionCore::wake), but also wakes the only consumer if it is blocked in `read`.
    pub(crate) fn wake_reader(&self) {
        let reading = {
            let mut state = self.lock();
            state.woken = true;
            state.notify_driver_of_items();
            self.consumers.notify_one();
            state.connection().filter(|_| state.reading && state.consumers == 0).cloned()
        };
        if let Some(connection) = reading {
            connection.wake();
        }
    }

    /// Wakes all consumers, also one that is blocked in `read`, so that they check their other sources: see
    /// [`wait_for_items`](SessionCore::wait_for_items).
    pub(crate) fn wake_all(&self) {
        let reading = {
            let state = self.lock();
            state.notify_driver_of_items();
            self.consumers.notify_all();
            state.connection().filter(|_| state.reading).cloned()
        };
        if let Some(connection) = reading {
            connection.wake();
        }
    }
}

/// Wakes the consumers of a session from another thread, without keeping the session alive.
#[derive(Clone)]
pub(crate) struct Waker(Arc<SessionCore>);

impl Waker {
    pub(crate) fn new(core: Arc<SessionCore>) -> Self {
        Waker(core)
    }

    /// Like [`SessionCore::wake`].
    pub(crate) fn wake(&self) {
        self.0.wake();
    }

    /// Like [`SessionCore::wake_all`].
    pub(crate) fn wake_all(&self) {
        self.0.wake_all();
    }

    /// Until the returned guard is dropped, a consumer that reads checks at short intervals whether it was woken.
    pub(crate) fn announce(&self) -> Announced {
        self.0.lock().helpers += 1;
        Announced(Arc::clone(&self.0))
    }
}

/// Announces that a helper thread is preparing something for the consumers: see [`Waker::announce`].
pub(crate) struct Announced(Arc<SessionCore>);

impl Drop for Announced {
    fn drop(&mut self) {
        self.0.lock().helpers -= 1;
    }
}
