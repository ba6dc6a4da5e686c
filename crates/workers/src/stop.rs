//! The switch that ends what runs.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A switch that ends [`Intake::run`](crate::Intake::run), [`Workers::run`](crate::Workers::run),
/// [`Placement::run`](crate::Placement::run) and waits for a [`Lease`](crate::Lease), from any thread. Clones are the
/// same switch.
///
/// ```
/// use crustocean_workers::Stop;
///
/// let stop = Stop::new();
/// let switch = stop.clone();
/// std::thread::spawn(move || switch.stop()); // a thread that waits for SIGTERM, say
/// stop.wait();
/// assert!(stop.is_stopped());
/// ```
#[derive(Clone, Default)]
pub struct Stop {
    inner: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    stopped: bool,
    then: Vec<Box<dyn FnOnce() + Send>>,
}

impl Stop {
    /// A switch that is on until [`stop`](Stop::stop).
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends whatever runs with this switch. What is being worked on is finished first, within the limits set there.
    pub fn stop(&self) {
        let then = {
            let mut state = self.lock();
            state.stopped = true;
            self.inner.1.notify_all();
            std::mem::take(&mut state.then)
        };
        for act in then {
            act();
        }
    }

    /// Whether [`stop`](Stop::stop) was called.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Waits until [`stop`](Stop::stop) is called.
    pub fn wait(&self) {
        let state = self.lock();
        drop(self.inner.1.wait_while(state, |state| !state.stopped).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits as long, or until [`stop`](Stop::stop) is called: then true.
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        while !state.stopped {
            let Some(left) = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                return false;
            };
            state = self.inner.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Calls this when [`stop`](Stop::stop) is called, on that thread; at once if it has been.
    pub fn on_stop(&self, act: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if state.stopped {
            drop(state);
            act();
        } else {
            state.then.push(Box::new(act));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("stopped", &self.is_stopped()).finish()
    }
}
