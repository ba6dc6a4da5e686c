//! Short-lived threads for work that waits for the network.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::socket::session::connector::Connector;
use crate::socket::session::due_work;
use crate::threads;

/// The most workers at a time. A server that does not answer occupies one worker for up to twice the
/// [`handshake_timeout`](crate::agent::AgentBuilder::handshake_timeout).
const MAX_WORKERS: usize = 64;
/// How long a worker waits for a job before it ends.
const IDLE: Duration = Duration::from_secs(2);
/// The stack size. A worker runs only this crate's code, a few calls deep, and TLS handshakes.
const STACK: usize = 256 << 10;

/// The work of a worker for a session.
pub(super) type WorkerJob = fn(&Connector);

#[derive(Clone, Default)]
pub(super) struct Workers(Arc<WorkersShared>);

#[derive(Default)]
struct WorkersShared {
    state: Mutex<WorkersState>,
    changed: Condvar,
}

#[derive(Default)]
struct WorkersState {
    jobs: VecDeque<(WorkerJob, Arc<Connector>)>,
    running: usize,
    idle: usize,
    closed: bool,
}

impl Workers {
    /// Gives the job to the next free worker. `false` if no worker runs and no thread can be started.
    pub(super) fn add(&self, job: WorkerJob, connector: Arc<Connector>) -> bool {
        let mut state = self.0.lock();
        state.jobs.push_back((job, connector));
        if state.idle >= state.jobs.len() || state.running >= MAX_WORKERS {
            drop(state);
            self.0.changed.notify_one();
            return true;
        }
        state.running += 1;
        drop(state);
        let shared = Arc::clone(&self.0);
        if threads::start_with_stack("crustocean-set-worker", STACK, move || shared.work()).is_ok() {
            return true;
        }
        let mut state = self.0.lock();
        state.running -= 1;
        // Another worker takes the job, if another worker runs.
        state.running > 0 || state.jobs.pop_back().is_none()
    }

    /// Makes the workers end when no jobs are left.
    pub(super) fn close(&self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl WorkersShared {
    fn lock(&self) -> MutexGuard<'_, WorkersState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some((job, connector)) = state.jobs.pop_front() {
                drop(state);
                due_work::run_job(&connector, job);
                drop(connector);
                state = self.lock();
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (guard, waited) =
                self.changed.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.running -= 1;
    }
}
