//! How an agent ends: by `close`, or by its [`Stop`](crate::Stop).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::agent::{Agent, Inner};
use crate::deadline;
use crate::error::Result;
use crate::net::Cancel;
use crate::stop::Stop;

/// The progress of closing. One thread at a time closes the agent.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    state: Mutex<State>,
    changed: Condvar,
    /// Set when the `Stop` is stopped. Then no call waits any more.
    stopped: AtomicBool,
    /// The `Stop`, and the target that is registered with it. The target lives as long as the agent.
    switch: OnceLock<(Stop, Arc<StopTarget>)>,
}

#[derive(Debug, Default)]
struct State {
    /// The thread that is closing the agent.
    closer: Option<ThreadId>,
    /// The result of a close that the `Stop` started. The next caller of `close` gets this result.
    outcome: Option<Result<()>>,
}

/// Closes the agent when its `Stop` is stopped.
#[derive(Debug)]
struct StopTarget(Weak<Inner>);

impl Cancel for StopTarget {
    fn cancel(&self) {
        if let Some(inner) = self.0.upgrade() {
            stop(inner);
        }
    }
}

/// Ends all waits at once. Closing takes longer and runs on its own thread, because other agents may have the same
/// `Stop`.
fn stop(inner: Arc<Inner>) {
    if inner.session.is_foreign() || inner.closing.stopped.swap(true, Ordering::AcqRel) {
        return;
    }
    inner.session.stop_waits();
    inner.runs.close();
    let closer = Arc::clone(&inner);
    let closing: Box<dyn FnOnce() + Send> = Box::new(move || {
        let limit = closer.options.close_timeout;
        closer.closing.by_this_thread(limit, || {
            if let Err(error) = closer.close_within(limit) {
                crate::logging::warn!("{error}");
                closer.closing.lock().outcome = Some(Err(error));
            }
            Ok(())
        });
    });
    // Hold the lock during the spawn, because a thread that waits for the end must see that closing has begun.
    let begun = inner.closing.lock();
    let spawned = thread::Builder::new().name("crustocean-close".to_owned()).spawn(closing);
    drop(begun);
    if spawned.is_err() {
        inner.session.end();
    }
}

impl Closing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the `Stop` close the agent, at once if the `Stop` is already stopped.
    pub(crate) fn close_on(&self, stop: &Stop, inner: &Arc<Inner>) {
        let target = || Arc::new(StopTarget(Arc::downgrade(inner)));
        let (_, target) = self.switch.get_or_init(|| (stop.clone(), target()));
        let target: Arc<dyn Cancel> = target.clone();
        stop.add(Arc::downgrade(&target));
    }

    /// Whether the `Stop` has ended the agent.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Like `is_stopped`, but also true if the `Stop` was stopped and has not reached this agent yet.
    pub(crate) fn is_about_to_stop(&self) -> bool {
        self.is_stopped() || self.switch.get().is_some_and(|(stop, _)| stop.is_stopped())
    }

    /// Runs `close` unless another thread is closing the agent. If another thread is closing, waits for that thread, at
    /// most `limit`, and returns the stored result.
    fn by_this_thread(&self, limit: Duration, close: impl FnOnce() -> Result<()>) -> Option<Result<()>> {
        {
            let mut state = self.lock();
            if state.closer.is_some() {
                return self.wait(state, deadline::after(limit)).outcome.take();
            }
            state.closer = Some(thread::current().id());
        }
        let _over = Over(self);
        Some(close())
    }

    /// Waits until no thread is closing the agent.
    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
        while state.closer.is_some_and(|closer| closer != thread::current().id()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }
}

/// Marks the end of closing when dropped, also after a panic.
struct Over<'a>(&'a Closing);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.lock().closer = None;
        self.0.changed.notify_all();
    }
}

impl Inner {
    fn close_within(&self, limit: Duration) -> Result<()> {
        self.client.shutdown();
        let ended = self.runs.end_all();
        self.thinking_indicators.end_all();
        self.delivery.stop();
        self.save_memory();
        let closed = self.session.close(limit);
        drop(ended);
        closed
    }

    /// Ends the agent after its last handle was dropped.
    pub(crate) fn release(&self) {
        self.delivery.stop();
        if self.closing.is_stopped() && !self.session.is_foreign() && !thread::panicking() {
            // The agent's `close_timeout` applies here, not the short limit for a dropped handle.
            self.session.wait_over(deadline::after(self.options.close_timeout));
        }
        self.session.end();
        if let Some(memory) = self.memory.as_ref().filter(|_| !self.session.is_foreign()) {
            memory.end();
        }
    }
}

impl Agent {
    /// Implements [`Agent::close`].
    pub(crate) fn close_now(&self) -> Result<()> {
        let limit = self.inner.options.close_timeout;
        let closing = &self.inner.closing;
        if self.inner.session.is_foreign() {
            return self.inner.close_within(limit);
        }
        if closing.is_stopped() {
            self.inner.session.wait_over(deadline::after(limit));
        }
        // Take the outcome before the `match`, because the lock guard would live as long as the `match`.
        let outcome = closing.lock().outcome.take();
        match outcome {
            Some(outcome) => outcome,
            None => closing.by_this_thread(limit, || self.inner.close_within(limit)).unwrap_or(Ok(())),
        }
    }
}
