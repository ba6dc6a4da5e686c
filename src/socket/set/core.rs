//! The data that the set's thread, its sessions and the consumers share.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::socket::session::SessionId;
use crate::socket::session::connector::Connector;
use crate::socket::set::poller::PollWaker;
use crate::sync::{Condvar, Mutex};

/// The data that the set's thread, its sessions and the consumers share. A thread may take both locks under the lock of
/// a session, and takes no lock under them.
pub(super) struct SetCore {
    pub(super) inbox: Mutex<Inbox>,
    waker: PollWaker,
    pub(super) ready: Mutex<Ready>,
    pub(super) consumers: Condvar,
    /// The process that the set belongs to.
    pid: u32,
}

/// The tasks of the set's thread.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) added: Vec<(u64, Arc<Connector>)>,
    pub(super) woken: Vec<u64>,
    /// The times when consumers must check a session.
    pub(super) alarms: Vec<(SessionId, Instant)>,
    pub(super) closed: bool,
    /// The thread sleeps: a change must wake it.
    pub(super) asleep: bool,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.woken.is_empty() && self.alarms.is_empty() && !self.closed
    }
}

/// The sessions that may have items.
#[derive(Default)]
pub(super) struct Ready {
    /// The sessions, in the order in which consumers take them. Each is here at most once.
    pub(super) queue: VecDeque<SessionId>,
    pub(super) queued: HashSet<SessionId>,
    /// How many consumers wait.
    pub(super) waiting: usize,
    pub(super) closed: bool,
}

impl SetCore {
    pub(super) fn new(waker: PollWaker) -> Self {
        SetCore {
            inbox: Mutex::default(),
            waker,
            ready: Mutex::default(),
            consumers: Condvar::new(),
            pid: std::process::id(),
        }
    }

    pub(super) fn is_foreign(&self) -> bool {
        std::process::id() != self.pid
    }

    pub(super) fn check_process(&self) -> Result<()> {
        match self.is_foreign() {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Closed,
                "the set of agents belongs to the parent of this process: create another one after the fork",
            )),
        }
    }

    /// Changes the inbox, and wakes the set's thread if it sleeps.
    pub(super) fn update_inbox<T>(&self, change: impl FnOnce(&mut Inbox) -> T) -> T {
        let mut inbox = self.inbox.lock();
        let result = change(&mut inbox);
        let asleep = std::mem::take(&mut inbox.asleep);
        drop(inbox);
        if asleep {
            self.waker.wake();
        }
        result
    }

    /// Puts a session into the queue of ready sessions, unless it is there already.
    pub(super) fn make_ready(&self, session: SessionId) {
        let mut ready = self.ready.lock();
        if !ready.queued.insert(session) {
            return;
        }
        ready.queue.push_back(session);
        let waiting = ready.waiting > 0;
        drop(ready);
        if waiting {
            self.consumers.notify_one();
        }
    }
}
