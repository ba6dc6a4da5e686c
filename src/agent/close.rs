//! Ends an agent: by `close`, by its [`Stop`](crate::Stop), or with its last handle.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::agent::inner::AgentInner;
use crate::agent::questions;
use crate::deadline;
use crate::error::Result;
use crate::stop::Stop;
use crate::threads;

/// The least time that the store gets for the last save, if the connection has used all the time.
const MIN_SAVE_TIME: Duration = Duration::from_millis(100);

/// Makes the `Stop` close the agent, at once if the `Stop` is already stopped.
pub(super) fn close_on(stop: &Stop, agent: &Arc<AgentInner>) {
    let weak = Arc::downgrade(agent);
    let on_stop = stop.on_stop(move || weak.upgrade().into_iter().for_each(end_at_once));
    agent.closing.stop_with(stop, on_stop);
}

/// Ends all waits at once. Closing takes longer and runs on its own thread, because other agents may have the same
/// `Stop`.
fn end_at_once(agent: Arc<AgentInner>) {
    if agent.session.is_foreign() || agent.closing.note_stopped() {
        return;
    }
    agent.session.stop_waits();
    agent.runs.close();
    let closer = Arc::clone(&agent);
    let closing = move || {
        let until = deadline::after(closer.options.close_timeout);
        closer.closing.by_this_thread(until, || {
            if let Err(error) = close_until(&closer, until) {
                let text = error.to_string();
                closer.closing.state.lock().outcome = Some(Err(error));
                crate::logging::warn!("{text}");
            }
            Ok(())
        });
    };
    // Hold the lock during the spawn, because a thread that waits for the end must see that closing has begun.
    let begun = agent.closing.state.lock();
    let spawned = threads::start("crustocean-close", closing);
    drop(begun);
    if spawned.is_err() {
        agent.session.end();
    }
}

/// Closes the agent for all its handles.
pub(super) fn close(agent: &AgentInner) -> Result<()> {
    let until = deadline::after(agent.options.close_timeout);
    let closing = &agent.closing;
    if agent.session.is_foreign() {
        return close_until(agent, until);
    }
    if closing.is_stopped() {
        agent.session.wait_over(until);
    }
    // Take the outcome before the `match`, because the lock guard would live as long as the `match`.
    let outcome = closing.state.lock().outcome.take();
    match outcome {
        Some(outcome) => outcome,
        None => closing.by_this_thread(until, || close_until(agent, until)).unwrap_or(Ok(())),
    }
}

fn close_until(agent: &AgentInner, until: Instant) -> Result<()> {
    agent.client.shutdown();
    // Ending runs and indicators writes to the socket, and a server that does not read blocks a write.
    let cut = agent.session.cut_at(until);
    let ended = agent.runs.end_all();
    agent.thinking_indicators.end_all();
    drop(cut);
    agent.delivery.stop();
    let closed = agent.session.close(until.saturating_duration_since(Instant::now()));
    // Save only after the session is closed, because the store may block.
    let left = until.saturating_duration_since(Instant::now()).max(MIN_SAVE_TIME);
    let saved = questions::save_memory_within(agent, left);
    drop(ended);
    closed.and(saved)
}

/// Ends the agent after its last handle was dropped.
pub(super) fn release(agent: &AgentInner) {
    agent.delivery.stop();
    if agent.closing.is_stopped() && !agent.session.is_foreign() && !thread::panicking() {
        // The agent's `close_timeout` applies here, not the short limit for a dropped handle.
        agent.session.wait_over(deadline::after(agent.options.close_timeout));
    }
    agent.session.end();
    if !agent.session.is_foreign()
        && let Err(error) = questions::end_memory_within(agent, agent.options.close_timeout)
    {
        crate::logging::warn!("{error}");
    }
}
