//! The data that the threads of a session share, and which threads a change wakes.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::net::CancelToken;
use crate::socket::disconnect::Disconnect;
use crate::socket::session::policy::Policy;
use crate::socket::session::queue::{EventQueue, Item, Limits, ReadyItems};
use crate::socket::session::session_log::SessionLog;
use crate::socket::session::state::SessionState;
use crate::socket::transport::target::Target;
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard};

/// The data that the threads of a session share.
pub(crate) struct SessionCore {
    pub(crate) state: Mutex<SessionState>,
    pub(crate) ready: Arc<ReadyItems>,
    /// Keeps the events in order that the session [sends by itself](crate::socket::session::scheduled).
    pub(crate) event_order: Mutex<()>,
    pub(crate) consumers: Condvar,
    pub(crate) others: Condvar,
    pub(crate) background: Condvar,
    pub(crate) target: Target,
    /// Cancels the current dial when the session is closed.
    pub(crate) cancel: CancelToken,
    /// The session can be [stopped](SessionCore::stop_waits).
    pub(crate) stoppable: bool,
    /// [`close`](SessionCore::close) was called, or a forked child has taken the error of the session.
    pub(crate) closed: AtomicBool,
    /// [`end`](SessionCore::end) was called.
    pub(crate) ended: AtomicBool,
    /// The process that the session belongs to.
    pub(crate) pid: u32,
    pub(crate) log: SessionLog,
}

impl SessionCore {
    /// Every log record starts with `name`.
    pub(crate) fn new(name: &str, target: Target, limits: Limits, policy: Policy, stoppable: bool) -> Self {
        let log = SessionLog::new(name);
        let state = SessionState::new(EventQueue::new(limits.events, limits.bytes), policy, log.clone());
        SessionCore {
            state: Mutex::new(state),
            log,
            ready: Arc::default(),
            event_order: Mutex::new(()),
            consumers: Condvar::new(),
            others: Condvar::new(),
            background: Condvar::new(),
            target,
            cancel: CancelToken::default(),
            stoppable,
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            pid: std::process::id(),
        }
    }

    /// Checks that this process created the session. A forked child has no background thread, and two processes
    /// cannot share a connection.
    pub(crate) fn check_process(&self) -> Result<()> {
        if std::process::id() == self.pid {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Closed,
            "the agent belongs to the parent of this process: connect another one after the fork",
        ))
    }

    /// Whether the session belongs to the parent of this process. This process must not touch the locks of such a
    /// session.
    pub(crate) fn is_foreign(&self) -> bool {
        self.check_process().is_err()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock()
    }

    /// Adds an item for the consumers.
    pub(crate) fn push(&self, state: &mut SessionState, item: Item) {
        state.queue.push(item);
        self.notify(state, 1, false);
    }

    /// Ends the connection of this generation. Does nothing if it is not the current connection.
    pub(crate) fn lose(&self, state: &mut SessionState, generation: u64, end: Disconnect) {
        if state.lose(generation, end) {
            self.notify_all(state);
        }
    }

    /// Wakes one consumer for one new item, and all consumers for several new items. `answers`: also wakes the threads
    /// that wait for something else.
    pub(crate) fn notify(&self, state: &mut SessionState, items: usize, answers: bool) {
        if items > 0 {
            state.notify_driver_of_items();
        }
        match items.min(state.consumers) {
            0 => {}
            1 => self.consumers.notify_one(),
            _ => self.consumers.notify_all(),
        }
        if answers && state.others > 0 {
            self.others.notify_all();
        }
    }

    pub(crate) fn notify_all(&self, state: &mut SessionState) {
        state.notify_driver_of_items();
        self.consumers.notify_all();
        self.others.notify_all();
        self.wake_background(state);
    }

    /// Wakes the background thread, and the driver that may do its work.
    pub(crate) fn wake_background(&self, state: &mut SessionState) {
        state.background_awake = true;
        self.background.notify_all();
        if let Some(driver) = &state.driver {
            driver.wake();
        }
    }
}
