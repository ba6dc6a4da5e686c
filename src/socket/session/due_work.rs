//! The work of a background thread in steps that do not block, so that one thread can work for many sessions.
//!
//! [`run_due_work`] reads the available data. Workers do everything that waits for the network
//! ([`NextStep::Work`]). A thread that waits for something of one session still reads the socket itself.
//!
//! This is a second form of the loop in [`background`], which blocks in a read. A program with a thousand agents needs
//! it: without it, each agent would have a thread and its stack (the bar "resident memory per further agent" in
//! `benches/README.md`, with and without a set).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::session::background::{self, BackgroundThread};
use crate::socket::session::connection::Connection;
use crate::socket::session::connection::step::StepResult;
use crate::socket::session::connector::Connector;
use crate::socket::session::core::SessionCore;
use crate::socket::session::driver::Driver;
use crate::socket::session::state::{Phase, SessionState};
use crate::sync::{JoinHandle, MutexGuard};

/// The pause between two reads of a session whose queue is half full. Unread data in the socket slows the server.
const SLOW: Duration = Duration::from_millis(50);
/// The pause before another attempt to lock a connection. A sender has the lock.
const SOON: Duration = Duration::from_millis(2);

/// The pause after a worker thread could not be started.
pub(crate) const NO_WORKER: Duration = Duration::from_secs(1);

/// The driver's data about one session.
#[derive(Debug)]
pub(crate) struct DrivenSession {
    number: u64,
    /// The generation of the watched connection.
    generation: u64,
    /// The session's number of turns at the driver's last check. If the number differs now, another thread has read
    /// since then.
    turns: u64,
    /// Whether the socket has unread bytes.
    readable: bool,
    /// The connection may have ended after these bytes.
    ended: bool,
    /// When the connection must be checked even if nothing comes.
    check_at: Option<Instant>,
    /// No read before this time, because the queue is half full.
    read_at: Option<Instant>,
}

impl DrivenSession {
    /// `number` identifies the driver.
    pub(crate) fn new(number: u64) -> Self {
        DrivenSession {
            number,
            generation: 0,
            turns: 0,
            readable: false,
            ended: false,
            check_at: None,
            read_at: None,
        }
    }

    /// Notes that the watched connection has bytes. `ended`: these bytes may be the last.
    pub(crate) fn is_readable(&mut self, ended: bool) {
        self.readable = true;
        self.ended |= ended;
    }
}

/// The next step for a session.
#[derive(Debug)]
pub(crate) enum NextStep {
    /// Nothing to do: the session is over, or has another driver.
    Gone,
    /// Let a worker do this [job](run_job).
    Work(fn(&Connector)),
    /// Start a [background thread](background::start) for the session, because its connection can block.
    OwnThread,
    /// Watch this connection instead of the last one, then call [`run_due_work`] again.
    Watch(Arc<Connection>),
    /// There is no connection. Call [`run_due_work`] at this time, or when a worker is done.
    Down { until: Option<Instant> },
    /// Call [`run_due_work`] when bytes come, and at this time. `rearm`: the socket may already have unread bytes, so
    /// the poller must report them again.
    Wait { until: Option<Instant>, rearm: bool },
    /// Call [`run_due_work`] again, after other sessions had their turn.
    Again,
}

/// Does the work that is due for a session, without blocking.
pub(crate) fn run_due_work(core: &SessionCore, driven: &mut DrivenSession) -> NextStep {
    let mut state = core.lock();
    if state.driver.as_ref().is_none_or(|driver| driver.number() != driven.number) {
        return NextStep::Gone;
    }
    if state.own_thread {
        // That thread wakes the driver when it ends.
        core.background.notify_all();
        return NextStep::Wait { until: None, rearm: false };
    }
    let (mut state, next) = match state.phase.clone() {
        Phase::Closed if !state.has_worker => {
            state.background_gone = true;
            core.notify_all(&mut state);
            state.driver = None;
            return NextStep::Gone;
        }
        Phase::Down if !state.has_worker => {
            let retry_at = state.retry_at;
            if retry_at > deadline::now() {
                (state, NextStep::Down { until: Some(retry_at) })
            } else {
                state.has_worker = true;
                (state, NextStep::Work(Connector::reconnect))
            }
        }
        // A worker wakes the driver when it is done.
        Phase::Down | Phase::Closed => (state, NextStep::Down { until: None }),
        Phase::Up(connection) | Phase::Restoring(connection) | Phase::Closing(connection) => {
            run_connected(core, state, driven, connection)
        }
    };
    // Another thread may wait for the role. From now on, a thread that releases the role wakes the driver.
    state.background_awake = true;
    core.hand_over(&mut state);
    state.background_awake = false;
    next
}

/// Does the work of [`run_due_work`] for a session that has a connection.
fn run_connected<'a>(
    core: &'a SessionCore,
    mut state: MutexGuard<'a, SessionState>,
    driven: &mut DrivenSession,
    connection: Arc<Connection>,
) -> (MutexGuard<'a, SessionState>, NextStep) {
    let now = deadline::now();
    let due = state.next_due().filter(|_| !state.has_worker);
    if due.is_some_and(|due| due <= now) {
        state.has_worker = true;
        return (state, NextStep::Work(|connector| connector.core.send_due()));
    }
    if connection.is_polling() {
        state.own_thread = true;
        return (state, NextStep::OwnThread);
    }
    if driven.generation != state.generation {
        // The first check also decodes bytes that another thread has read but not decoded.
        let (generation, turns) = (state.generation, state.turns);
        *driven =
            DrivenSession { generation, turns, check_at: Some(now), ..DrivenSession::new(driven.number) };
        return (state, NextStep::Watch(connection));
    }
    if state.reading {
        return (state, NextStep::Wait { until: due, rearm: false });
    }
    let mut rearm = false;
    if driven.turns != state.turns {
        // Another thread has read, so the announced bytes may be gone.
        driven.readable = false;
        driven.check_at = Some(now);
        rearm = true;
    }
    let reads = driven.readable && may_read(&mut state, driven, now);
    if reads || driven.check_at.is_some_and(|at| at <= now) {
        let mut step = None;
        state = core.read_by(state, &mut |batch| {
            step = Some(connection.step(reads, batch)?);
            Ok(())
        });
        match step {
            None => return (state, NextStep::Again),
            Some(StepResult::Busy) => driven.check_at = Some(deadline::later(now, SOON)),
            Some(StepResult::Done { check_at, has_more, may_have_more }) => {
                driven.readable &= !reads;
                driven.check_at = Some(if has_more { now } else { check_at });
                rearm |= may_have_more || reads && (cfg!(windows) || std::mem::take(&mut driven.ended));
                if has_more && !state.queue.is_half_full() {
                    driven.turns = state.turns;
                    return (state, NextStep::Again);
                }
                if has_more {
                    driven.check_at = Some(deadline::later(now, SLOW));
                }
            }
        }
    }
    driven.turns = state.turns;
    let read_at = driven.read_at.filter(|_| driven.readable);
    let until = deadline::earliest([due, driven.check_at, read_at]);
    (state, NextStep::Wait { until, rearm })
}

/// Whether the driver may read the session now: always, unless the queue is half full.
fn may_read(state: &mut SessionState, driven: &mut DrivenSession, now: Instant) -> bool {
    if !state.queue.is_half_full() {
        driven.read_at = None;
        return true;
    }
    state.read_slowly = true;
    let waited = driven.read_at.is_some_and(|at| at <= now);
    if waited || driven.read_at.is_none() {
        driven.read_at = Some(deadline::later(now, SLOW));
    }
    waited
}

impl SessionCore {
    /// Gives the work of the background thread to a driver, until the session is over or [`drive_itself`] is called.
    ///
    /// # Errors
    /// `Invalid` if the session already has a driver, `Closed`.
    pub(crate) fn give_to(&self, driver: Arc<dyn Driver>, background: &BackgroundThread) -> Result<()> {
        self.check_process()?;
        let blocked = {
            let mut state = self.lock();
            if state.is_closed() || state.stopped {
                return Err(state.closed_error());
            }
            if state.driver.is_some() {
                return Err(Error::invalid("the agent is in a set already: remove it there first"));
            }
            state.driver = Some(driver);
            self.wake_background(&mut state);
            let blocked = std::mem::take(&mut state.background_blocked);
            state.connection().filter(|_| blocked).cloned()
        };
        if let Some(connection) = blocked {
            // The background thread is blocked in `read`: the answer to this ping wakes it.
            connection.wake();
        }
        background.detach();
        Ok(())
    }

    /// Whether there are more items, or the session is over. The consumer of a [`Driver`]'s session calls this after
    /// it took an item.
    pub(crate) fn has_more(&self) -> bool {
        let mut state = self.lock();
        if state.read_slowly && !state.queue.is_half_full() {
            state.read_slowly = false;
            self.wake_background(&mut state);
        }
        state.has_ended() || !state.queue.is_empty() || !self.ready.is_empty()
    }
}

/// Takes the session back from its driver, and starts its own background thread again.
///
/// # Errors
/// `Config` if no thread can be started. Then the session is over. `Closed` in a forked child.
pub(crate) fn drive_itself(connector: &Arc<Connector>, background: &BackgroundThread) -> Result<()> {
    connector.core.check_process()?;
    if let Some(thread) = take_back(connector, None)? {
        background.set(thread);
    }
    Ok(())
}

/// Takes the session back from its driver and starts its own background thread. With `from`, only from this driver.
/// `None` if the session has no such driver, already has its own thread, or is over.
///
/// # Errors
/// `Config` if no thread can be started. Then the session is over.
pub(crate) fn take_back(connector: &Arc<Connector>, from: Option<u64>) -> Result<Option<JoinHandle<()>>> {
    {
        let mut state = connector.core.lock();
        let is_driven =
            state.driver.as_ref().is_some_and(|driver| from.is_none_or(|from| driver.number() == from));
        let Some(driver) = state.driver.take_if(|_| is_driven) else { return Ok(None) };
        // The driver then finds that it no longer drives the session.
        driver.wake();
        if state.own_thread || state.background_gone {
            return Ok(None);
        }
    }
    own_thread(connector).map(Some)
}

/// Starts a background thread for a session.
///
/// # Errors
/// `Config` if no thread can be started. Then the session is over.
pub(crate) fn own_thread(connector: &Arc<Connector>) -> Result<JoinHandle<()>> {
    background::start(Arc::clone(connector)).inspect_err(|_| {
        let core = &connector.core;
        let mut state = core.lock();
        state.fail(Error::config("cannot start the agent's thread"));
        state.background_gone = true;
        core.notify_all(&mut state);
    })
}

/// No worker thread could be started: schedules another attempt.
pub(crate) fn no_worker(core: &SessionCore) {
    let mut state = core.lock();
    state.has_worker = false;
    state.retry_at = deadline::after(NO_WORKER);
}

/// Does work that waits for the network. A worker runs this.
pub(crate) fn run_job(connector: &Connector, job: fn(&Connector)) {
    let outcome = catch_unwind(AssertUnwindSafe(|| job(connector)));
    let core = &connector.core;
    let mut state = core.lock();
    state.has_worker = false;
    if outcome.is_err() {
        state.fail(Error::new(
            ErrorKind::Closed,
            "internal error: a worker of the agent panicked; please report this",
        ));
        core.notify_all(&mut state);
    }
    core.wake_background(&mut state);
}
