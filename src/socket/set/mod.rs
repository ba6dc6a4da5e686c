//! A set of sessions. One thread drives all of them; any number of consumers take their items.
//!
//! The thread sleeps in a poller until bytes come on a socket, until a session [wakes](Driver::wake) the thread, or
//! until an alarm is due. It then [does the due work](crate::socket::session::due_work) of those sessions, without
//! blocking. A session that may have items goes to the end of the queue of [ready](core::Ready) sessions, at most once.
//! A consumer takes one event of the first session, and puts that session back at the end. So the events of one session
//! stay in order, and a session with many events does not delay the others.

mod core;
mod poller;
mod thread;
mod workers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::socket::session::driver::Driver;
use crate::socket::session::{Session, SessionId};
use crate::socket::set::core::SetCore;
use crate::socket::set::poller::Poller;
use crate::sync::Mutex;

/// A set of sessions, and the owner of its thread. After a drop, every session has its own background thread again.
pub(crate) struct SessionSet {
    core: Arc<SetCore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The membership of a session.
struct SetMembership {
    number: u64,
    session: SessionId,
    set: Arc<SetCore>,
}

/// The result of [`SessionSet::next_ready`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextReady {
    /// This session may have items.
    Session(SessionId),
    TimedOut,
    /// The set is closed.
    Closed,
}

impl SessionSet {
    /// Starts the set's thread.
    ///
    /// # Errors
    /// `Config` if the system cannot create a poller or a thread.
    pub(crate) fn start() -> Result<Self> {
        let failed = |error| Error::config("cannot start the thread of a set of agents").with_source(error);
        let poller = Poller::new().map_err(failed)?;
        let core = Arc::new(SetCore::new(poller.waker().map_err(failed)?));
        let thread = thread::start(Arc::clone(&core), poller).map_err(failed)?;
        Ok(SessionSet { core, thread: Mutex::new(Some(thread)) })
    }

    /// Whether the set belongs to the parent of this process.
    pub(crate) fn is_foreign(&self) -> bool {
        self.core.is_foreign()
    }

    /// Drives this session from now on. The session is ready at once, because it may already have items.
    ///
    /// # Errors
    /// `Invalid` if the session is already in a set, `Closed` if the session or the set is closed, or if the waits of
    /// the set's consumers have ended.
    pub(crate) fn add(&self, session: &Session) -> Result<()> {
        let set = &self.core;
        set.check_process()?;
        if set.ready.lock().closed {
            return Err(closed());
        }
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        session.give_to(Arc::new(SetMembership { number, session: session.id(), set: Arc::clone(set) }))?;
        let refused = set.update_inbox(|inbox| {
            if !inbox.closed {
                inbox.added.push((number, Arc::clone(session.connector())));
            }
            inbox.closed
        });
        // The waits may have ended since the first check: then no consumer takes the session's items.
        if refused || set.ready.lock().closed {
            session.drive_itself()?;
            return Err(closed());
        }
        set.make_ready(session.id());
        Ok(())
    }

    /// Gives the session its own background thread again.
    ///
    /// # Errors
    /// `Config` if no thread can be started; then the session is over. `Closed` in a forked child.
    pub(crate) fn remove(&self, session: &Session) -> Result<()> {
        self.core.check_process()?;
        session.drive_itself()
    }

    /// Waits for a session that may have items.
    pub(crate) fn next_ready(&self, until: Option<Instant>) -> NextReady {
        let set = &self.core;
        if set.is_foreign() {
            return NextReady::Closed;
        }
        let mut ready = set.ready.lock();
        loop {
            if ready.closed {
                return NextReady::Closed;
            }
            if let Some(session) = ready.queue.pop_front() {
                // An item that comes before the consumer looks puts the session into the queue again.
                ready.queued.remove(&session);
                return NextReady::Session(session);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return NextReady::TimedOut;
            }
            ready.waiting += 1;
            ready = set.consumers.wait_for(ready, left);
            ready.waiting -= 1;
        }
    }

    /// Puts a session into the queue of ready sessions, because it may have items.
    pub(crate) fn make_ready(&self, id: SessionId) {
        self.core.make_ready(id);
    }

    /// Puts a session into the queue of ready sessions at this time.
    pub(crate) fn look_at(&self, id: SessionId, at: Instant) {
        self.core.update_inbox(|inbox| inbox.alarms.push((id, at)));
    }

    /// Ends all waits of consumers, now and in the future. Does not change the sessions.
    pub(crate) fn end_waits(&self) {
        if self.is_foreign() {
            return;
        }
        self.core.ready.lock().closed = true;
        self.core.consumers.notify_all();
    }
}

impl Drop for SessionSet {
    fn drop(&mut self) {
        if self.is_foreign() {
            return;
        }
        self.end_waits();
        self.core.update_inbox(|inbox| inbox.closed = true);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the set of agents is closed")
}

impl Driver for SetMembership {
    fn wake(&self) {
        self.set.update_inbox(|inbox| inbox.woken.push(self.number));
    }

    fn notify_consumers(&self) {
        self.set.make_ready(self.session);
    }

    fn number(&self) -> u64 {
        self.number
    }
}
