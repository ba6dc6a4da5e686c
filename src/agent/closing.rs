//! How an agent ends: by `close`, or by its [`Stop`](crate::Stop).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::agent::{Agent, AgentInner};
use crate::deadline;
use crate::error::{Error, Result};
use crate::stop::{OnStop, Stop};
use crate::sync::lock::{Condvar, Mutex};

/// The least time that the store gets for the last save, if the connection has used all the time.
const LEAST_FOR_SAVE: Duration = Duration::from_millis(100);

/// The progress of closing. One thread at a time closes the agent.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    state: Mutex<ClosingState>,
    changed: Condvar,
    /// Set when the `Stop` is stopped. Then no call waits any more.
    stopped: AtomicBool,
    /// The `Stop`, and the function that it calls.
    switch: OnceLock<(Stop, OnStop)>,
}

#[derive(Debug, Default)]
struct ClosingState {
    /// The thread that is closing the agent.
    closer: Option<ThreadId>,
    /// The result of a close that the `Stop` started. The next caller of `close` gets this result.
    outcome: Option<Result<()>>,
}

/// Ends all waits at once. Closing takes longer and runs on its own thread, because other agents may have the same
/// `Stop`.
fn end_at_once(inner: Arc<AgentInner>) {
    if inner.session.is_foreign() || inner.closing.stopped.swap(true, Ordering::AcqRel) {
        return;
    }
    inner.session.stop_waits();
    inner.runs.close();
    let closer = Arc::clone(&inner);
    let closing: Box<dyn FnOnce() + Send> = Box::new(move || {
        let until = deadline::after(closer.options.close_timeout);
        closer.closing.by_this_thread(until, || {
            if let Err(error) = closer.close_until(until) {
                let text = error.to_string();
                closer.closing.state.lock().outcome = Some(Err(error));
                crate::logging::warn!("{text}");
            }
            Ok(())
        });
    });
    // Hold the lock during the spawn, because a thread that waits for the end must see that closing has begun.
    let begun = inner.closing.state.lock();
    let spawned = thread::Builder::new().name("crustocean-close".to_owned()).spawn(closing);
    drop(begun);
    if spawned.is_err() {
        inner.session.end();
    }
}

impl Closing {
    /// Makes the `Stop` close the agent, at once if the `Stop` is already stopped.
    pub(crate) fn close_on(&self, stop: &Stop, inner: &Arc<AgentInner>) {
        let agent = Arc::downgrade(inner);
        let on_stop = stop.on_stop(move || agent.upgrade().into_iter().for_each(end_at_once));
        let _ = self.switch.set((stop.clone(), on_stop));
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
    fn by_this_thread(&self, until: Instant, close: impl FnOnce() -> Result<()>) -> Option<Result<()>> {
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

impl AgentInner {
    fn close_until(&self, until: Instant) -> Result<()> {
        self.client.shutdown();
        // Ending runs and indicators writes to the socket, and a server that does not read blocks a write.
        let cut = self.session.cut_at(until);
        let ended = self.runs.end_all();
        self.thinking_indicators.end_all();
        drop(cut);
        self.delivery.stop();
        let closed = self.session.close(until.saturating_duration_since(Instant::now()));
        // Save only after the session is closed, because the store may block.
        let saved =
            self.save_memory_within(until.saturating_duration_since(Instant::now()).max(LEAST_FOR_SAVE));
        drop(ended);
        closed.and(saved)
    }

    /// Ends the agent after its last handle was dropped.
    pub(crate) fn release(&self) {
        self.delivery.stop();
        if self.closing.is_stopped() && !self.session.is_foreign() && !thread::panicking() {
            // The agent's `close_timeout` applies here, not the short limit for a dropped handle.
            self.session.wait_over(deadline::after(self.options.close_timeout));
        }
        self.session.end();
        if !self.session.is_foreign()
            && let Err(error) = self.end_memory_within(self.options.close_timeout)
        {
            crate::logging::warn!("{error}");
        }
    }
}

impl Agent {
    /// Implements [`Agent::close`].
    pub(crate) fn close_now(&self) -> Result<()> {
        let until = deadline::after(self.inner.options.close_timeout);
        let closing = &self.inner.closing;
        if self.inner.session.is_foreign() {
            return self.inner.close_until(until);
        }
        if closing.is_stopped() {
            self.inner.session.wait_over(until);
        }
        // Take the outcome before the `match`, because the lock guard would live as long as the `match`.
        let outcome = closing.state.lock().outcome.take();
        match outcome {
            Some(outcome) => outcome,
            None => closing.by_this_thread(until, || self.inner.close_until(until)).unwrap_or(Ok(())),
        }
    }
}
