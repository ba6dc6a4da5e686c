//! A set of sessions. One thread keeps and reads all of them; any number of consumers take their items.
//!
//! The thread sleeps in a poller until bytes come on a socket, until a session [wakes](Keeper::wake) the thread, or until
//! an alarm is due. It then [attends](crate::socket::session::attend) those sessions, without blocking. A session that
//! may have items goes to the end of the line of [ready](Ready) sessions, at most once. A consumer takes one event of the
//! first session, and puts that session back at the end. So the events of one session stay in order, and a session with
//! many events does not delay the others.

mod poller;
mod thread;
mod workers;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::socket::session::core::SessionCore;
use crate::socket::session::keeper::Keeper;
use crate::socket::session::{Session, SessionId};
use crate::socket::set::poller::Poller;
use crate::sync::{Condvar, Mutex};

/// A set of sessions, and the owner of its thread. After a drop, every session has its own background thread again.
pub(crate) struct SessionSet {
    shared: Arc<SetCore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The data that the set's thread, its sessions and the consumers share.
struct SetCore {
    inbox: Mutex<Inbox>,
    waker: poller::PollWaker,
    ready: Mutex<Ready>,
    consumers: Condvar,
    /// The process that the set belongs to.
    pid: u32,
}

/// The tasks of the set's thread.
#[derive(Default)]
struct Inbox {
    added: Vec<(u64, Arc<SessionCore>)>,
    woken: Vec<u64>,
    /// The times when consumers must check a session.
    alarms: Vec<(SessionId, Instant)>,
    closed: bool,
    /// The thread sleeps: a change must wake it.
    asleep: bool,
}

impl Inbox {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.woken.is_empty() && self.alarms.is_empty() && !self.closed
    }
}

/// The sessions that may have items.
#[derive(Default)]
struct Ready {
    line: VecDeque<SessionId>,
    in_line: HashSet<SessionId>,
    waiting: usize,
    closed: bool,
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
        let shared = Arc::new(SetCore {
            inbox: Mutex::default(),
            waker: poller.waker().map_err(failed)?,
            ready: Mutex::default(),
            consumers: Condvar::new(),
            pid: std::process::id(),
        });
        let thread = thread::start(Arc::clone(&shared), poller).map_err(failed)?;
        Ok(SessionSet { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Whether the set belongs to the parent of this process.
    pub(crate) fn is_foreign(&self) -> bool {
        self.shared.is_foreign()
    }

    /// Keeps this session from now on. The session is ready at once, because it may already have items.
    ///
    /// # Errors
    /// `Invalid` if the session is already in a set, `Closed` if the session or the set is closed, or if the waits of the
    /// set's consumers have ended.
    pub(crate) fn add(&self, session: &Session) -> Result<()> {
        let set = &self.shared;
        set.check_process()?;
        if set.ready.lock().closed {
            return Err(closed());
        }
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        session.give_to(Arc::new(SetMembership { number, session: session.id(), set: Arc::clone(set) }))?;
        let refused = set.update_inbox(|inbox| {
            if !inbox.closed {
                inbox.added.push((number, Arc::clone(session.shared())));
            }
            inbox.closed
        });
        // The waits may have ended since the first check: then no consumer takes the session's items.
        if refused || set.ready.lock().closed {
            session.keep_itself()?;
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
        self.shared.check_process()?;
        session.keep_itself()
    }

    /// Waits for a session that may have items.
    pub(crate) fn next_ready(&self, until: Option<Instant>) -> NextReady {
        let set = &self.shared;
        if set.is_foreign() {
            return NextReady::Closed;
        }
        let mut ready = set.ready.lock();
        loop {
            if ready.closed {
                return NextReady::Closed;
            }
            if let Some(session) = ready.line.pop_front() {
                // An item that comes before the consumer looks puts the session into the line again.
                ready.in_line.remove(&session);
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

    /// Puts a session into the line, because it may have items.
    pub(crate) fn make_ready(&self, id: SessionId) {
        self.shared.make_ready(id);
    }

    /// Puts a session into the line at this time.
    pub(crate) fn look_at(&self, id: SessionId, at: Instant) {
        self.shared.update_inbox(|inbox| inbox.alarms.push((id, at)));
    }

    /// Ends all waits of consumers, now and in the future. Does not change the sessions.
    pub(crate) fn end_waits(&self) {
        if self.is_foreign() {
            return;
        }
        self.shared.ready.lock().closed = true;
        self.shared.consumers.notify_all();
    }
}

impl Drop for SessionSet {
    fn drop(&mut self) {
        if self.is_foreign() {
            return;
        }
        self.end_waits();
        self.shared.update_inbox(|inbox| inbox.closed = true);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the set of agents is closed")
}

impl SetCore {
    fn is_foreign(&self) -> bool {
        std::process::id() != self.pid
    }

    fn check_process(&self) -> Result<()> {
        match self.is_foreign() {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Closed,
                "the set of agents belongs to the parent of this process: create another one after the fork",
            )),
        }
    }

    /// Changes the inbox, and wakes the set's thread if it sleeps.
    fn update_inbox<T>(&self, change: impl FnOnce(&mut Inbox) -> T) -> T {
        let mut inbox = self.inbox.lock();
        let result = change(&mut inbox);
        let asleep = std::mem::take(&mut inbox.asleep);
        drop(inbox);
        if asleep {
            self.waker.wake();
        }
        result
    }

    fn make_ready(&self, session: SessionId) {
        let mut ready = self.ready.lock();
        if !ready.in_line.insert(session) {
            return;
        }
        ready.line.push_back(session);
        let waiting = ready.waiting > 0;
        drop(ready);
        if waiting {
            self.consumers.notify_one();
        }
    }
}

impl Keeper for SetMembership {
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
