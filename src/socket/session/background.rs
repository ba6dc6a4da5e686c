//! The one thread of a session: reads when nobody else does, and dials again.
//!
//! It sleeps as long as somebody holds the reader role. When the role has been free for a moment (a handler is
//! busy) it reads in its place, so that heartbeats are answered; as soon as somebody waits again, it steps back.
//! What is to be sent again and again ([`scheduled`](crate::socket::session::scheduled)) it sends when it is due.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::session::backoff::Cause;
use crate::socket::session::connection::Connection;
use crate::socket::session::connection::connect::ConnectFailure;
use crate::socket::session::reader::SessionCore;
use crate::socket::session::sender::ConnectionHandle;
use crate::socket::session::state::{Phase, SessionState};
use crate::sync::{Builder, JoinHandle, MutexGuard};

/// How long the role may be free before the background thread takes it: longer than a quick handler, far shorter than any
/// pingTimeout.
const GRACE: Duration = Duration::from_millis(25);
/// The same while events are queued: their consumer will read by itself when they are used up, and reading ahead
/// of it only fills the queue. But heartbeats come in band, behind the events, so it cannot wait for long.
const GRACE_WHILE_QUEUED: Duration = Duration::from_millis(50);
/// With polling nothing can wake it from a read: it comes back by itself.
const LONGEST_POLLING_READ: Duration = Duration::from_secs(5);
/// Little: it only runs our own code, a few calls deep, besides TLS handshakes.
const STACK: usize = 256 << 10;

pub(crate) fn start(shared: Arc<SessionCore>) -> Result<JoinHandle<()>> {
    shared.lock().set_own_thread(true);
    let core = Arc::clone(&shared);
    // In a box, as for every thread: what starts one is compiled once.
    let work: Box<dyn FnOnce() + Send> = Box::new(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| keep(&shared)));
        let mut state = shared.lock();
        if outcome.is_err() {
            state.fail(Error::new(
                ErrorKind::Closed,
                "internal error: the background thread panicked; please report this",
            ));
        }
        if let Ok(End::HandedOver) = outcome {
            return;
        }
        state.set_own_thread(false);
        state.background_gone = true;
        shared.tell_all(&mut state);
        state.keeper = None;
    });
    Builder::new().name("crustocean-io".to_owned()).stack_size(STACK).spawn(work).map_err(|error| {
        core.lock().set_own_thread(false);
        Error::config("cannot start the agent's thread").with_source(error)
    })
}

/// Why the background thread ends.
enum End {
    Closed,
    /// A [`Keeper`](crate::socket::session::keeper::Keeper) goes on.
    HandedOver,
}

fn keep(shared: &SessionCore) -> End {
    let mut state = shared.lock();
    loop {
        if state.has_other_keeper() {
            state.set_own_thread(false);
            shared.wake_background(&mut state);
            return End::HandedOver;
        }
        let due = state.scheduled.next_due().filter(|_| matches!(state.phase, Phase::Up(_)));
        let left = due.map(|due| due.saturating_duration_since(deadline::now()));
        if left.is_some_and(|left| left.is_zero()) {
            drop(state);
            shared.send_due();
            state = shared.lock();
            continue;
        }
        state = match state.phase.clone() {
            // A worker of an earlier keeper wakes it.
            Phase::Closed | Phase::Down if state.has_worker => sleep(shared, state, None),
            Phase::Closed => return End::Closed,
            Phase::Down => match state.retry_at.checked_duration_since(deadline::now()) {
                Some(left) if !left.is_zero() => sleep(shared, state, Some(left)),
                _ => {
                    drop(state);
                    dial_again(shared);
                    shared.lock()
                }
            },
            // Somebody reads, or is told to: what was read here may have been of no interest to those who wait.
            _ if state.reading || state.consumers + state.others > 0 => {
                state.background_awake = false;
                shared.hand_over(&mut state);
                sleep(shared, state, left)
            }
            Phase::Up(connection) | Phase::Restoring(connection) | Phase::Closing(connection) => {
                watch(shared, state, &connection)
            }
        };
    }
}

fn sleep<'a>(
    shared: &'a SessionCore,
    state: MutexGuard<'a, SessionState>,
    wait: Option<Duration>,
) -> MutexGuard<'a, SessionState> {
    shared.wait_for(&shared.background, state, wait)
}

/// The role is free and nobody waits: gives whoever was here a moment to come back, then reads in its place.
fn watch<'a>(
    shared: &'a SessionCore,
    mut state: MutexGuard<'a, SessionState>,
    connection: &Arc<Connection>,
) -> MutexGuard<'a, SessionState> {
    let queued = !state.queue.is_empty() || !shared.ready.is_empty();
    let turns = state.turns;
    let generation = state.generation;
    let grace = if queued { GRACE_WHILE_QUEUED } else { GRACE };
    state.background_awake = true;
    let until = deadline::after(grace);
    state = sleep(shared, state, Some(grace));
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
        let due = state.scheduled.next_due();
        let until = match due {
            None if connection.is_polling() => Some(deadline::after(LONGEST_POLLING_READ)),
            due => due,
        };
        state.background_blocked = until.is_none() || due.is_some();
        state = shared.read(state, connection, until);
        state.background_blocked = false;
        return state;
    }
    // Behind what is queued here there may be a ping waiting in the socket: read until it is empty. When the queue
    // fills up, go slower, one read at a time: what stays in the socket holds the server back and is not lost.
    loop {
        let before = deadline::now();
        let until = deadline::later(before, Duration::from_millis(1));
        state = shared.read(state, connection, Some(until));
        if !undisturbed(&state) || state.queue.is_half_full() || deadline::now() >= until {
            return state;
        }
    }
}

pub(crate) fn dial_again(shared: &SessionCore) {
    let refused = {
        let state = shared.lock();
        if !matches!(state.phase, Phase::Down) {
            return;
        }
        state.refused
    };
    match shared.dial(refused, None) {
        Ok(connected) => shared.install(connected, &|line| restore(shared, line)),
        Err(failure) => {
            let mut state = shared.lock();
            if state.is_closed() {
                return;
            }
            match failure {
                ConnectFailure::Refused(_) if !refused => {
                    // Most often the session token has run out: at once, once, with a new one.
                    state.refused = true;
                    state.retry_at = deadline::now();
                }
                ConnectFailure::Refused(error) => state.connect_failed(error, Cause::Refused),
                ConnectFailure::Trouble(error) => state.connect_failed(error, Cause::Trouble),
                ConnectFailure::Failed(error) if error.is_auth() => state.fail(error),
                ConnectFailure::Failed(error) => state.connect_failed(error, Cause::Lost),
            }
            shared.tell_all(&mut state);
        }
    }
}

/// A panic there (of a logger, say) costs the new connection, not the session.
fn restore(shared: &SessionCore, line: &ConnectionHandle<'_>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(|| shared.host.restore(line)))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Connect, "restoring the session panicked")))
}
