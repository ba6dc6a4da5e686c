//! The background thread of a session: reads when no other thread does, and reconnects.
//!
//! The thread sleeps while another thread has the reader role or waits. When the role has been free for a moment (a
//! handler is busy), the background thread reads, so that pings are answered. After each read, it leaves the role to a
//! thread that waits. It also reads for threads that wait but must not block in a read
//! ([`SessionCore::background_reads`]), and sends repeated events ([`scheduled`](crate::socket::session::scheduled))
//! when they are due.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::session::connection::Connection;
use crate::socket::session::connector::Connector;
use crate::socket::session::core::SessionCore;
use crate::socket::session::state::{Phase, SessionState};
use crate::sync::{Builder, JoinHandle, Mutex, MutexGuard};

/// How long the role may be free before the background thread takes it: longer than a quick handler, far shorter than
/// any pingTimeout.
const GRACE: Duration = Duration::from_millis(25);
/// The same time while events are queued. The consumer of these events reads again after it has taken them, and an
/// earlier read only fills the queue. But pings arrive in the same stream, after the events, so this time must be
/// short.
const GRACE_WHILE_QUEUED: Duration = Duration::from_millis(50);
/// The longest read with long-polling: no other thread can end such a read.
const MAX_POLLING_READ: Duration = Duration::from_secs(5);
/// The stack size. The thread runs only this crate's code, a few calls deep, and TLS handshakes.
const STACK: usize = 256 << 10;

/// The background thread of a session, if no thread has joined or [detached](BackgroundThread::detach) it.
pub(crate) struct BackgroundThread(Mutex<Option<JoinHandle<()>>>);

impl BackgroundThread {
    pub(crate) fn new(thread: JoinHandle<()>) -> Self {
        BackgroundThread(Mutex::new(Some(thread)))
    }

    /// Stores the handle of a new background thread.
    #[cfg(any(feature = "agents", crustocean_model))]
    pub(crate) fn set(&self, thread: JoinHandle<()>) {
        *self.0.lock() = Some(thread);
    }

    /// Waits until the thread ends.
    pub(crate) fn join(&self) {
        let thread = self.0.lock().take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// Forgets the thread, which no code joins. If the handle stayed, the system would keep the thread's stack.
    #[cfg(any(feature = "agents", crustocean_model))]
    pub(crate) fn detach(&self) {
        drop(self.0.lock().take());
    }
}

/// Starts a background thread.
///
/// # Errors
/// `Config` if the system cannot start a thread.
pub(crate) fn start(connector: Arc<Connector>) -> Result<JoinHandle<()>> {
    let core = Arc::clone(&connector.core);
    core.lock().set_own_thread(true);
    // Box the work, as `threads` does, so that the compiler compiles the code that starts a thread only once.
    let work: Box<dyn FnOnce() + Send> = Box::new(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&connector)));
        let core = &connector.core;
        let mut state = core.lock();
        if outcome.is_err() {
            state.fail(Error::new(
                ErrorKind::Closed,
                "internal error: the background thread panicked; please report this",
            ));
        }
        if let Ok(BackgroundEndReason::HandedOver) = outcome {
            return;
        }
        state.set_own_thread(false);
        state.background_gone = true;
        core.notify_all(&mut state);
        state.driver = None;
    });
    Builder::new().name("crustocean-io".to_owned()).stack_size(STACK).spawn(work).map_err(|error| {
        core.lock().set_own_thread(false);
        Error::config("cannot start the agent's thread").with_source(error)
    })
}

/// Why the background thread ends.
enum BackgroundEndReason {
    Closed,
    /// A [`Driver`](crate::socket::session::driver::Driver) takes over.
    HandedOver,
}

fn run(connector: &Connector) -> BackgroundEndReason {
    let core = &*connector.core;
    let mut state = core.lock();
    loop {
        if state.is_driven() {
            state.set_own_thread(false);
            core.wake_background(&mut state);
            return BackgroundEndReason::HandedOver;
        }
        let due = state.next_due();
        let left = due.map(|due| due.saturating_duration_since(deadline::now()));
        if left.is_some_and(|left| left.is_zero()) {
            // Let a waiting thread read meanwhile, because a server that is blocked in a write may not read the data
            // that this thread sends.
            state.background_sends = true;
            core.hand_over(&mut state);
            drop(state);
            core.send_due();
            state = core.lock();
            state.background_sends = false;
            continue;
        }
        let waits = state.consumers + state.others > 0;
        state = match state.phase.clone() {
            // A worker of an earlier driver still runs. It wakes this thread when it ends.
            Phase::Closed | Phase::Down if state.has_worker => core.background.wait_for(state, None),
            Phase::Closed => return BackgroundEndReason::Closed,
            Phase::Down => match state.retry_at.checked_duration_since(deadline::now()) {
                Some(left) if !left.is_zero() => core.background.wait_for(state, Some(left)),
                _ => {
                    drop(state);
                    connector.reconnect();
                    core.lock()
                }
            },
            // Another thread reads, or `hand_over` wakes a waiting thread, which then reads. The data that this thread
            // has read may not fulfil the condition of the waiting thread.
            _ if state.reading || (waits && !core.background_reads(&state)) => {
                state.background_awake = false;
                core.hand_over(&mut state);
                core.background.wait_for(state, left)
            }
            Phase::Up(connection) | Phase::Restoring(connection) | Phase::Closing(connection) => {
                match waits {
                    true => read(core, state, &connection),
                    false => watch(core, state, &connection),
                }
            }
        };
    }
}

/// The role is free and no thread waits: gives the last reader a moment to come back, and then reads.
fn watch<'a>(
    core: &'a SessionCore,
    mut state: MutexGuard<'a, SessionState>,
    connection: &Arc<Connection>,
) -> MutexGuard<'a, SessionState> {
    let queued = !state.queue.is_empty() || !core.ready.is_empty();
    let turns = state.turns;
    let generation = state.generation;
    let grace = if queued { GRACE_WHILE_QUEUED } else { GRACE };
    state.background_awake = true;
    let until = deadline::after(grace);
    state = core.background.wait_for(state, Some(grace));
    let undisturbed = |state: &SessionState| {
        !state.reading
            && state.consumers + state.others == 0
            && state.generation == generation
            && state.connection().is_some()
    };
    if deadline::now() < until || state.turns != turns || !undisturbed(&state) {
        return state;
    }
    if !queued {
        return read(core, state, connection);
    }
    // A ping may wait in the socket behind the queued events, so this loop reads until the socket is empty. If the
    // queue is half full, the loop ends after one read: unread data stays in the socket, slows the server, and is not
    // lost.
    loop {
        let until = deadline::later(deadline::now(), Duration::from_millis(1));
        state = core.read(state, connection, Some(until));
        if !undisturbed(&state) || state.queue.is_half_full() {
            return state;
        }
        if deadline::now() >= until {
            return read(core, state, connection);
        }
    }
}

/// Reads until something comes or an event must be sent.
fn read<'a>(
    core: &'a SessionCore,
    mut state: MutexGuard<'a, SessionState>,
    connection: &Arc<Connection>,
) -> MutexGuard<'a, SessionState> {
    let due = state.next_due();
    let until = match due {
        None if connection.is_polling() => Some(deadline::after(MAX_POLLING_READ)),
        due => due,
    };
    state.background_blocked = until.is_none() || due.is_some();
    let mut state = core.read(state, connection, until);
    state.background_blocked = false;
    state
}
