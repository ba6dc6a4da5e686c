//! The work of a background thread in steps that do not block, so that one thread can do it for many sessions.
//!
//! [`attend`] reads what has come. Everything that waits for the network is left to workers ([`Attended::Connect`],
//! [`Attended::Send`]). A thread that waits for something of one session still reads by itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::session::connection::Connection;
use crate::socket::session::connection::step::Step;
use crate::socket::session::keeper::Keeper;
use crate::socket::session::reader::SessionCore;
use crate::socket::session::state::{Phase, SessionState};
use crate::socket::session::{Session, background};
use crate::sync::{JoinHandle, MutexGuard};

/// A session whose queue is half full is read this often: what stays in the socket holds the server back.
const SLOW: Duration = Duration::from_millis(50);
/// The pause after which the connection's lock is tried again. A sender has it.
const SOON: Duration = Duration::from_millis(2);

/// The pause after no thread could be started.
pub(crate) const NO_WORKER: Duration = Duration::from_secs(1);

/// What the keeper knows of a session.
#[derive(Debug)]
pub(crate) struct Kept {
    number: u64,
    /// The connection that is watched.
    generation: u64,
    /// The session's number of turns when the keeper looked last. If it differs, another thread has read since.
    turns: u64,
    /// Bytes came that are not read yet.
    readable: bool,
    /// The end came with them.
    ended: bool,
    /// When the connection must be checked even if nothing comes.
    check_at: Option<Instant>,
    /// The queue is half full: no read before this.
    read_at: Option<Instant>,
}

impl Kept {
    /// `number`: the keeper's.
    pub(crate) fn new(number: u64) -> Self {
        Kept { number, generation: 0, turns: 0, readable: false, ended: false, check_at: None, read_at: None }
    }

    /// The watched connection has bytes. `ended`: maybe the last ones.
    pub(crate) fn is_readable(&mut self, ended: bool) {
        self.readable = true;
        self.ended |= ended;
    }
}

/// What is to be done next for a session.
#[derive(Debug)]
pub(crate) enum Attended {
    /// Nothing: the session is over, or somebody else keeps it.
    Gone,
    /// Let a worker [`connect`].
    Connect,
    /// Let a worker [`send_due`].
    Send,
    /// Start a [background thread](background::start) for it: the connection is one that blocks.
    OwnThread,
    /// Watch this connection instead of the last one, then attend again.
    Watch(Arc<Connection>),
    /// There is no connection. Attend at this time, or when a worker is done.
    Down { until: Option<Instant> },
    /// Attend when bytes come, and at this time. `anew`: bytes may be there already.
    Wait { until: Option<Instant>, anew: bool },
    /// Attend again, after other sessions had their turn.
    Again,
}

/// Does what is to be done for a session, without blocking.
pub(crate) fn attend(core: &SessionCore, kept: &mut Kept) -> Attended {
    let mut state = core.lock();
    if state.keeper.as_ref().is_none_or(|keeper| keeper.number() != kept.number) {
        return Attended::Gone;
    }
    if state.own_thread {
        // It wakes the keeper when it ends.
        core.background.notify_all();
        return Attended::Wait { until: None, anew: false };
    }
    let (mut state, attended) = match state.phase.clone() {
        Phase::Closed if !state.has_worker => {
            state.background_gone = true;
            core.tell_all(&mut state);
            state.keeper = None;
            return Attended::Gone;
        }
        Phase::Down if !state.has_worker => {
            let retry_at = state.retry_at;
            if retry_at > deadline::now() {
                (state, Attended::Down { until: Some(retry_at) })
            } else {
                state.has_worker = true;
                (state, Attended::Connect)
            }
        }
        // A worker wakes the keeper when it is done.
        Phase::Down | Phase::Closed => (state, Attended::Down { until: None }),
        Phase::Up(connection) | Phase::Restoring(connection) | Phase::Closing(connection) => {
            look(core, state, kept, connection)
        }
    };
    // Somebody may wait for the role. From now on, whoever leaves it wakes the keeper.
    state.background_awake = true;
    core.hand_over(&mut state);
    state.background_awake = false;
    attended
}

/// The same, while there is a connection.
fn look<'a>(
    core: &'a SessionCore,
    mut state: MutexGuard<'a, SessionState>,
    kept: &mut Kept,
    connection: Arc<Connection>,
) -> (MutexGuard<'a, SessionState>, Attended) {
    let now = deadline::now();
    let due = state.scheduled.next_due().filter(|_| matches!(state.phase, Phase::Up(_)) && !state.has_worker);
    if due.is_some_and(|due| due <= now) {
        state.has_worker = true;
        return (state, Attended::Send);
    }
    if connection.is_polling() {
        state.own_thread = true;
        return (state, Attended::OwnThread);
    }
    if kept.generation != state.generation {
        // The first check also decodes what somebody has read and left.
        let (generation, turns) = (state.generation, state.turns);
        *kept = Kept { generation, turns, check_at: Some(now), ..Kept::new(kept.number) };
        return (state, Attended::Watch(connection));
    }
    if state.reading {
        return (state, Attended::Wait { until: due, anew: false });
    }
    let mut anew = false;
    if kept.turns != state.turns {
        // Whether what was announced is still there is not known.
        kept.readable = false;
        kept.check_at = Some(now);
        anew = true;
    }
    let reads = kept.readable && may_read(&mut state, kept, now);
    if reads || kept.check_at.is_some_and(|at| at <= now) {
        let mut step = None;
        state = core.read_by(state, &mut |batch| {
            step = Some(connection.step(reads, batch)?);
            Ok(())
        });
        match step {
            None => return (state, Attended::Again),
            Some(Step::Busy) => kept.check_at = Some(deadline::later(now, SOON)),
            Some(Step::Done { check_at, has_more, may_have_more }) => {
                kept.readable &= !reads;
                kept.check_at = Some(if has_more { now } else { check_at });
                anew |= may_have_more || reads && (cfg!(windows) || std::mem::take(&mut kept.ended));
                if has_more && !state.queue.is_half_full() {
                    kept.turns = state.turns;
                    return (state, Attended::Again);
                }
                if has_more {
                    kept.check_at = Some(deadline::later(now, SLOW));
                }
            }
        }
    }
    kept.turns = state.turns;
    let read_at = kept.read_at.filter(|_| kept.readable);
    let until = [due, kept.check_at, read_at].into_iter().flatten().min();
    (state, Attended::Wait { until, anew })
}

/// Whether it is time to read: always, unless the queue is half full.
fn may_read(state: &mut SessionState, kept: &mut Kept, now: Instant) -> bool {
    if !state.queue.is_half_full() {
        kept.read_at = None;
        return true;
    }
    state.read_slowly = true;
    let waited = kept.read_at.is_some_and(|at| at <= now);
    if waited || kept.read_at.is_none() {
        kept.read_at = Some(deadline::later(now, SLOW));
    }
    waited
}

impl Session {
    /// Gives the work of the background thread to another one, which keeps the session until it is over or
    /// [`keep_itself`](Session::keep_itself) is called.
    ///
    /// # Errors
    /// `Invalid` if another one keeps it already, `Closed`.
    pub(crate) fn give_to(&self, keeper: Arc<dyn Keeper>) -> Result<()> {
        self.shared.check_process()?;
        let blocked = {
            let mut state = self.shared.lock();
            if state.is_closed() || state.stopped {
                return Err(state.closed_error());
            }
            if state.keeper.is_some() {
                return Err(Error::invalid("the agent is in a set already: remove it there first"));
            }
            state.keeper = Some(keeper);
            self.shared.wake_background(&mut state);
            let blocked = std::mem::take(&mut state.background_blocked);
            state.connection().filter(|_| blocked).cloned()
        };
        if let Some(connection) = blocked {
            // The thread is reading: the answer to this wakes it.
            connection.nudge();
        }
        Ok(())
    }

    /// Takes the session back from its keeper, and starts its own background thread again.
    ///
    /// # Errors
    /// When no thread can be started. Then the session is over.
    pub(crate) fn keep_itself(&self) -> Result<()> {
        self.shared.check_process()?;
        if let Some(thread) = take_back(&self.shared, None)? {
            *self.background.lock() = Some(thread);
        }
        Ok(())
    }

    /// Whether there is more to take, or the end. For a consumer of a [`Keeper`]'s sessions, which asks after it took something.
    pub(crate) fn has_more(&self) -> bool {
        let mut state = self.shared.lock();
        if state.read_slowly && !state.queue.is_half_full() {
            state.read_slowly = false;
            self.shared.wake_background(&mut state);
        }
        let is_over = matches!(state.phase, Phase::Closed) || state.stopped;
        is_over || !state.queue.is_empty() || !self.shared.ready.is_empty()
    }
}

/// Ends the keeping, if this keeper does it, or whoever does: from now on a background thread of its own keeps the session. `None` if it has one, or is over.
///
/// # Errors
/// When no thread can be started. Then the session is over.
pub(crate) fn take_back(core: &Arc<SessionCore>, from: Option<u64>) -> Result<Option<JoinHandle<()>>> {
    {
        let mut state = core.lock();
        let is_kept =
            state.keeper.as_ref().is_some_and(|keeper| from.is_none_or(|from| keeper.number() == from));
        let Some(keeper) = state.keeper.take_if(|_| is_kept) else { return Ok(None) };
        // It finds that it is no longer the keeper.
        keeper.wake();
        if state.own_thread || state.background_gone {
            return Ok(None);
        }
    }
    own_thread(core).map(Some)
}

/// Starts a background thread for a session.
///
/// # Errors
/// When no thread can be started. Then the session is over.
pub(crate) fn own_thread(core: &Arc<SessionCore>) -> Result<JoinHandle<()>> {
    background::start(Arc::clone(core)).inspect_err(|_| {
        let mut state = core.lock();
        state.fail(Error::config("cannot start the agent's thread"));
        state.background_gone = true;
        core.tell_all(&mut state);
    })
}

/// A worker's part: connects again.
pub(crate) fn connect(core: &SessionCore) {
    work(core, background::dial_again);
}

/// A worker's part: sends what is due.
pub(crate) fn send_due(core: &SessionCore) {
    work(core, SessionCore::send_due);
}

/// There is no thread for a worker: try again later.
pub(crate) fn no_worker(core: &SessionCore) {
    let mut state = core.lock();
    state.has_worker = false;
    state.retry_at = deadline::after(NO_WORKER);
}

fn work(core: &SessionCore, job: fn(&SessionCore)) {
    let outcome = catch_unwind(AssertUnwindSafe(|| job(core)));
    let mut state = core.lock();
    state.has_worker = false;
    if outcome.is_err() {
        state.fail(Error::new(
            ErrorKind::Closed,
            "internal error: a worker of the agent panicked; please report this",
        ));
        core.tell_all(&mut state);
    }
    core.wake_background(&mut state);
}
