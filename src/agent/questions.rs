//! The questions of an agent that has a memory. This module marks questions as done and saves the memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent::event::Event;
use crate::agent::inner::AgentInner;
use crate::agent::memory::Memory;
use crate::error::{Error, Result};
use crate::model::MessageId;
use crate::sync::lock::{Condvar, Mutex};
use crate::threads;
use crate::user_code::caught;

/// Saves the agent's memory if it has changed.
pub(crate) fn save_memory(agent: &AgentInner) {
    if let Some(memory) = &agent.memory
        && let Some(error) = memory.save()
    {
        report_not_saved(agent, error);
    }
}

/// The last save, when the agent closes. Waits at most `limit`: the store is the program's code.
///
/// # Errors
/// `Timeout` if the store has not finished in time.
pub(crate) fn save_memory_within(agent: &AgentInner, limit: Duration) -> Result<()> {
    use_store_within(agent, limit, |memory| memory.save())
}

/// Saves the memory and drops the store. Waits at most `limit`.
///
/// # Errors
/// The error of [`save_memory_within`].
pub(crate) fn end_memory_within(agent: &AgentInner, limit: Duration) -> Result<()> {
    use_store_within(agent, limit, |memory| {
        memory.end();
        None
    })
}

fn use_store_within(
    agent: &AgentInner,
    limit: Duration,
    work: fn(&dyn Memory) -> Option<Error>,
) -> Result<()> {
    // If the store itself closes the agent, this thread is already saving.
    let Some(memory) = agent.memory.as_ref().filter(|memory| !memory.is_saving_here()) else {
        return Ok(());
    };
    let outcome = Arc::new((Mutex::new(None), Condvar::new()));
    let (shared_memory, shared_outcome) = (Arc::clone(memory), Arc::clone(&outcome));
    let using = move || {
        let (outcome, finished) = &*shared_outcome;
        // The store and its errors are the program's code. Without an outcome, `close` would wait for its whole limit.
        let error = caught(|| work(&*shared_memory)).unwrap_or_default();
        *outcome.lock() = Some(error);
        finished.notify_all();
    };
    match threads::start("crustocean-save", using) {
        Ok(using) => agent.closing.hand_over(using.thread().id()),
        Err(_) => {
            work(&**memory).into_iter().for_each(|error| report_not_saved(agent, error));
            return Ok(());
        }
    }
    let (outcome, finished) = &*outcome;
    let error = finished.wait_timeout_while(outcome.lock(), limit, |outcome| outcome.is_none()).take();
    let text = || format!("the agent's memory is not saved: the store needs more than {limit:?}");
    error.ok_or_else(|| Error::timeout(text()))?.into_iter().for_each(|error| report_not_saved(agent, error));
    Ok(())
}

fn report_not_saved(agent: &AgentInner, error: Error) {
    agent.delivery.push(Event::StateNotSaved { error: Arc::new(error) });
    agent.session.wake();
}

/// Called when this thread asks for its next event or question. Marks the thread's earlier questions as done, if
/// the agent has a memory.
pub(crate) fn acknowledge_questions(agent: &AgentInner) {
    // A question whose work a stop has interrupted is not done.
    if let Some(memory) = &agent.memory
        && !agent.closing.is_about_to_stop()
        && memory.acknowledge_earlier()
    {
        save_memory(agent);
    }
}

/// Marks a question as done, because the agent does not hand out the question.
pub(crate) fn drop_question(agent: &AgentInner, id: &MessageId) {
    if let Some(memory) = &agent.memory {
        memory.done(id);
    }
}

/// The time at which a waiting thread must save the memory.
pub(crate) fn next_save(agent: &AgentInner) -> Option<Instant> {
    agent.memory.as_ref()?.due()
}

/// Saves the memory if a save is due.
pub(crate) fn save_if_due(agent: &AgentInner) {
    if let Some(memory) = &agent.memory
        && let Some(error) = memory.save_if_due()
    {
        report_not_saved(agent, error);
    }
}
