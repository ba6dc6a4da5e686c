//! The reader role: which thread reads, which threads wait, and which threads are woken. The module
//! [session](crate::socket::session) explains the scheme.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::CancelToken;
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::session::connection::Connection;
use crate::socket::session::connection::decoder::Inbound;
use crate::socket::session::log_queue::LogQueue;
use crate::socket::session::policy::Policy;
use crate::socket::session::queue::{EventQueue, ReadyItems};
use crate::socket::session::state::{Changes, Phase, SessionState};
use crate::socket::session::{Host, Limits};
use crate::socket::target::Target;
use crate::socket::transport::choice::TransportMemory;
use crate::sync::{Condvar, Mutex, MutexGuard};

/// The largest batch whose memory is kept for the next one.
const SPARE: usize = 2048;

/// What a thread waits for. This decides which threads are woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    Consumer,
    Other,
}

/// How long a read may block while a connection is being restored, or while a helper works.
const SLICE: Duration = Duration::from_millis(10);
/// In a session that can be stopped: how long a waiting thread reads without data, before it leaves the socket to the
/// background thread. Far less than a stop may take.
const PATIENCE: Duration = Duration::from_millis(50);

/// What the threads of a session share.
pub(crate) struct SessionCore {
    pub(crate) state: Mutex<SessionState>,
    pub(crate) ready: ReadyItems,
    /// See [`scheduled`](crate::socket::session::scheduled).
    pub(crate) orders: Mutex<()>,
    pub(crate) consumers: Condvar,
    pub(crate) others: Condvar,
    pub(crate) background: Condvar,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) target: Target,
    /// Which transport works here.
    pub(crate) memory: TransportMemory,
    /// Cancels the current dial when the session is closed.
    pub(crate) cancel: CancelToken,
    /// The session can be [stopped](crate::socket::session::Session::stop_waits).
    pub(crate) stoppable: bool,
    /// The process that the session belongs to.
    pub(crate) pid: u32,
    pub(crate) log: LogQueue,
}

impl std::fmt::Debug for SessionCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionCore").finish_non_exhaustive()
    }
}

impl SessionCore {
    /// Every log record starts with `name`.
    pub(crate) fn new(
        name: &str,
        target: Target,
        host: Arc<dyn Host>,
        limits: Limits,
        policy: Policy,
        stoppable: bool,
    ) -> Self {
        let log = LogQueue::new(name);
        let state = SessionState::new(EventQueue::new(limits.events, limits.bytes), policy, log.clone());
        SessionCore {
            state: Mutex::new(state),
            log,
            ready: ReadyItems::default(),
            orders: Mutex::new(()),
            consumers: Condvar::new(),
            others: Condvar::new(),
            background: Condvar::new(),
            host,
            target,
            memory: TransportMemory::default(),
            cancel: CancelToken::default(),
            stoppable,
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock()
    }

    /// Releases the state and waits until `bell` is notified, or `limit` has passed.
    pub(crate) fn wait_for<'a>(
        &self,
        bell: &Condvar,
        state: MutexGuard<'a, SessionState>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, SessionState> {
        match limit {
            None => bell.wait(state),
            Some(limit) => bell.wait_timeout(state, limit),
        }
    }

    /// Waits until `wish` returns a value, at most until `until`. Reads from the socket while no other thread reads.
    ///
    /// A thread blocked in `read` sees only socket traffic. Any other state change that a wish waits for must close the
    /// connection (this ends the read) or make the server answer ([`nudge_reader`](SessionCore::nudge_reader)).
    pub(crate) fn wait<T>(
        &self,
        who: Waiter,
        until: Option<Instant>,
        mut wish: impl FnMut(&mut SessionState) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.lock();
        loop {
            let granted = wish(&mut state);
            if granted.is_some() || until.is_some_and(|until| until <= deadline::now()) {
                self.hand_over(&mut state);
                return granted;
            }
            state = self.read_or_sleep(state, who, until);
        }
    }

    /// Separate from [`wait`](SessionCore::wait), because `wait` is compiled once for each wish.
    fn read_or_sleep<'a>(
        &'a self,
        state: MutexGuard<'a, SessionState>,
        who: Waiter,
        until: Option<Instant>,
    ) -> MutexGuard<'a, SessionState> {
        let may_read = !state.reading && !self.background_reads(&state);
        let Some(connection) = state.connection().filter(|_| may_read).cloned() else {
            return self.sleep(state, who, until);
        };
        // The socket announces neither the end of restoring nor the result of a helper, so the read returns at short
        // intervals.
        let restoring = matches!(state.phase, Phase::Restoring(_));
        let helped = who == Waiter::Consumer && state.helpers > 0;
        let slice = match restoring || helped {
            true => Some(SLICE),
            false => self.stoppable.then_some(PATIENCE),
        };
        let slice = slice.map(deadline::after);
        let until = match (until, slice) {
            (Some(until), Some(slice)) => Some(until.min(slice)),
            (until, slice) => until.or(slice),
        };
        let heard = state.heard;
        let mut state = self.read(state, &connection, until);
        let in_vain = state.heard == heard && slice.is_some_and(|slice| slice <= deadline::now());
        state.quiet |= self.stoppable && in_vain && !restoring;
        if !state.reading && self.background_reads(&state) {
            // From now on this thread sleeps.
            self.wake_background(&mut state);
        }
        state
    }

    /// Whether the background thread reads for the threads that wait, which then sleep. A stop cannot wake a thread that
    /// is blocked in `read`, so a thread that can be stopped reads only while data comes. With long-polling, nothing can
    /// end such a read.
    pub(crate) fn background_reads(&self, state: &SessionState) -> bool {
        match &state.phase {
            Phase::Up(connection) | Phase::Closing(connection) => {
                connection.is_polling() || (self.stoppable && state.quiet && !state.background_sends)
            }
            // The background thread connects.
            Phase::Restoring(_) | Phase::Down | Phase::Closed => false,
        }
    }

    /// Takes the reader role for one turn.
    pub(crate) fn read<'a>(
        &'a self,
        state: MutexGuard<'a, SessionState>,
        connection: &Connection,
        until: Option<Instant>,
    ) -> MutexGuard<'a, SessionState> {
        self.read_by(state, &mut |batch| connection.turn(until, batch))
    }

    /// Like [`read`](SessionCore::read), but `turn` does the reading.
    pub(crate) fn read_by<'a>(
        &'a self,
        mut state: MutexGuard<'a, SessionState>,
        turn: &mut dyn FnMut(&mut Vec<Inbound>) -> Result<(), Disconnect>,
    ) -> MutexGuard<'a, SessionState> {
        state.reading = true;
        let generation = state.generation;
        let mut batch = std::mem::take(&mut state.spare);
        drop(state);
        // A panic would be a bug in this crate, in a library, or in a logger that a library calls. It ends this
        // connection.
        let turn = catch_unwind(AssertUnwindSafe(|| turn(&mut batch)));
        let end = turn.unwrap_or_else(|_| Err(panicked())).err();
        let end = end.map(|end| end.without(&self.target.secrets));
        self.mask_errors(&mut batch);
        let mut state = self.lock();
        state.reading = false;
        state.turns = state.turns.wrapping_add(1);
        if generation == state.generation {
            let mut filed = state.file(&mut batch);
            if let Some(end) = end {
                filed.link_over = state.lose(generation, end);
            }
            self.tell(&mut state, filed);
            if state.is_closed() {
                // The thread that closes the session checks which events are confirmed.
                self.others.notify_all();
            }
        }
        batch.clear();
        if batch.capacity() <= SPARE {
            state.spare = batch;
        }
        state
    }

    /// Removes secrets from the server's error texts, because a server may quote what the client sent.
    pub(crate) fn mask_errors(&self, batch: &mut [Inbound]) {
        let masked = |text: &str| self.target.secrets.remove_from(text);
        for inbound in batch {
            match inbound {
                Inbound::Event(event) if event.name() == "error" => {
                    if let Some(clean) = event.reworded(masked) {
                        *event = clean;
                    }
                }
                Inbound::Ack(_, args) if args.mentions_error() => args.reword(masked),
                _ => {}
            }
        }
    }

    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, SessionState>,
        who: Waiter,
        until: Option<Instant>,
    ) -> MutexGuard<'a, SessionState> {
        let (bell, count): (_, fn(&mut SessionState) -> &mut usize) = match who {
            Waiter::Consumer => (&self.consumers, |state| &mut state.consumers),
            Waiter::Other => (&self.others, |state| &mut state.others),
        };
        *count(&mut state) += 1;
        let left = until.map(|until| until.saturating_duration_since(deadline::now()));
        let mut state = self.wait_for(bell, state, left);
        *count(&mut state) -= 1;
        state
    }

    /// Wakes the threads that these changes concern.
    pub(crate) fn tell(&self, state: &mut SessionState, filed: Changes) {
        if filed.link_over {
            self.tell_all(state);
            return;
        }
        if filed.events > 0 {
            state.tell_keeper_of_items();
        }
        match filed.events.min(state.consumers) {
            0 => {}
            1 => self.consumers.notify_one(),
            _ => self.consumers.notify_all(),
        }
        if filed.answers && state.others > 0 {
            self.others.notify_all();
        }
    }

    pub(crate) fn tell_all(&self, state: &mut SessionState) {
        state.tell_keeper_of_items();
        self.consumers.notify_all();
        self.others.notify_all();
        self.wake_background(state);
    }

    /// A thread that stops waiting calls this. If the role is free, wakes one waiting thread, which then reads. If no thread
    /// waits, or if the background thread reads for those who wait, wakes the background thread.
    pub(crate) fn hand_over(&self, state: &mut SessionState) {
        if state.reading || state.connection().is_none() {
            return;
        }
        let wakes_waiting = !self.background_reads(state);
        if wakes_waiting && state.others > 0 {
            self.others.notify_one();
        } else if wakes_waiting && state.consumers > 0 {
            self.consumers.notify_one();
        } else if !state.background_awake {
            self.wake_background(state);
        }
    }

    /// Wakes the background thread, and the keeper that may do its work.
    pub(crate) fn wake_background(&self, state: &mut SessionState) {
        state.background_awake = true;
        self.background.notify_all();
        if let Some(keeper) = &state.keeper {
            keeper.wake();
        }
    }
}

fn panicked() -> Disconnect {
    Disconnect::new(reason::TRANSPORT_ERROR, "internal error: reading panicked; please report this")
}
