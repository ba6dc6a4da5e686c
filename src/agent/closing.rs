//! The progress of closing an agent.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::stop::{OnStop, Stop};
use crate::sync::lock::{Condvar, Mutex};

/// The progress of closing. One thread at a time closes the agent.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    pub(super) state: Mutex<ClosingState>,
    changed: Condvar,
    /// Set when the `Stop` is stopped. Then no call waits any more.
    stopped: AtomicBool,
    /// The `Stop`, and the function that it calls.
    switch: OnceLock<(Stop, OnStop)>,
}

#[derive(Debug, Default)]
pub(super) struct ClosingState {
    /// The thread that is closing the agent.
    closer: Option<ThreadId>,
    /// The result of a close that the `Stop` started. The next caller of `close` gets this result.
    pub(super) outcome: Option<Result<()>>,
}

impl Closing {
    /// Keeps the function that the `Stop` calls.
    pub(super) fn stop_with(&self, stop: &Stop, on_stop: OnStop) {
        let _ = self.switch.set((stop.clone(), on_stop));
    }

    /// Notes that the `Stop` has ended the agent. Returns whether it had done so before.
    pub(super) fn note_stopped(&self) -> bool {
        self.stopped.swap(true, Ordering::AcqRel)
    }

    /// Whether the `Stop` has ended the agent.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Like `is_stopped`, but also true if the `Stop` was stopped and has not reached this agent yet.
    pub(crate) fn is_about_to_stop(&self) -> bool {
        self.is_stopped() || self.switch.get().is_some_and(|(stop, _)| stop.is_stopped())
    }

    /// Notes that another thread continues the closing that this thread has begun. So a store that closes the agent
    /// while it saves does not wait for itself.
    pub(crate) fn hand_over(&self, to: ThreadId) {
        let mut state = self.state.lock();
        if state.closer == Some(thread::current().id()) {
            state.closer = Some(to);
            self.changed.notify_all();
        }
    }

    /// Runs `close`. If another thread is closing the agent, waits for that thread first, at most until `until`. Returns
    /// the stored result if there is one, and `None` if this thread is already closing.
    pub(super) fn by_this_thread(
        &self,
        until: Instant,
        close: impl FnOnce() -> Result<()>,
    ) -> Option<Result<()>> {
        let this = thread::current().id();
        {
            let is_closing = |state: &mut ClosingState| state.closer.is_some_and(|closer| closer != this);
            let left = until.saturating_duration_since(Instant::now());
            let mut state = self.changed.wait_timeout_while(self.state.lock(), left, is_closing);
            match state.closer {
                Some(closer) if closer == this => return None,
                Some(_) => {
                    let text = "another thread is closing the agent and has not finished in time";
                    return Some(Err(Error::timeout(text)));
                }
                None => {}
            }
            if let Some(outcome) = state.outcome.take() {
                return Some(outcome);
            }
            state.closer = Some(this);
        }
        let _over = ClosingGuard(self);
        Some(close())
    }
}

/// Marks the end of closing when dropped, also after a panic.
struct ClosingGuard<'a>(&'a Closing);

impl Drop for ClosingGuard<'_> {
    fn drop(&mut self) {
        self.0.state.lock().closer = None;
        self.0.changed.notify_all();
    }
}
