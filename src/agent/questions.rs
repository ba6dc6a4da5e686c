//! The questions of an agent that has a memory. This module marks questions as done and saves the memory.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::agent::event::Event;
use crate::agent::inner::AgentInner;
use crate::agent::memory::Memory;
use crate::error::{Error, Result};
use crate::model::MessageId;

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
    let (sender, receiver) = mpsc::channel();
    let also = Arc::clone(memory);
    let using = move || sender.send(work(&*also)).unwrap_or_default();
    match thread::Builder::new().name("crustocean-save".to_owned()).spawn(using) {
        Ok(using) => agent.closing.hand_over(using.thread().id()),
        Err(_) => {
            work(&**memory).into_iter().for_each(|error| report_not_saved(agent, error));
            return Ok(());
        }
    }
    match receiver.recv_timeout(limit) {
        Ok(Some(error)) => report_not_saved(agent, error),
        Ok(None) | Err(RecvTimeoutError::Disconnected) => {}
        Err(RecvTimeoutError::Timeout) => {
            return Err(Error::timeout(format!(
                "the agent's memory is not saved: the store needs more than {limit:?}"
            )));
        }
    }
    Ok(())
}

fn report_not_saved(agent: &AgentInner, error: Error) {
    agent.delivery.push(Event::StateNotSaved { error: Arc::new(error) });
    agent.session.nudge();
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
