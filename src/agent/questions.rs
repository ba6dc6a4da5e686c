//! The questions of an agent that has a memory. This module marks questions as done and saves the memory.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::agent::memory::Memory;
use crate::agent::{Agent, AgentInner, Event};
use crate::error::{Error, Result};
use crate::model::MessageId;

impl AgentInner {
    /// Saves the agent's memory if it has changed.
    pub(crate) fn save_memory(&self) {
        if let Some(memory) = &self.memory
            && let Some(error) = memory.save()
        {
            self.report_not_saved(error);
        }
    }

    /// The last save, when the agent closes. Waits at most `limit`: the store is the program's code.
    ///
    /// # Errors
    /// `Timeout` if the store has not finished in time.
    pub(crate) fn save_memory_within(&self, limit: Duration) -> Result<()> {
        self.use_store_within(limit, |memory| memory.save())
    }

    /// Saves the memory and drops the store. Waits at most `limit`.
    ///
    /// # Errors
    /// The error of [`save_memory_within`](AgentInner::save_memory_within).
    pub(crate) fn end_memory_within(&self, limit: Duration) -> Result<()> {
        self.use_store_within(limit, |memory| {
            memory.end();
            None
        })
    }

    fn use_store_within(&self, limit: Duration, work: fn(&dyn Memory) -> Option<Error>) -> Result<()> {
        // If the store itself closes the agent, this thread is already saving.
        let Some(memory) = self.memory.as_ref().filter(|memory| !memory.is_saving_here()) else {
            return Ok(());
        };
        let (sender, receiver) = mpsc::channel();
        let also = Arc::clone(memory);
        let using = move || sender.send(work(&*also)).unwrap_or_default();
        match thread::Builder::new().name("crustocean-save".to_owned()).spawn(using) {
            Ok(using) => self.closing.hand_over(using.thread().id()),
            Err(_) => {
                work(&**memory).into_iter().for_each(|error| self.report_not_saved(error));
                return Ok(());
            }
        }
        match receiver.recv_timeout(limit) {
            Ok(Some(error)) => self.report_not_saved(error),
            Ok(None) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => {
                return Err(Error::timeout(format!(
                    "the agent's memory is not saved: the store takes more than {limit:?}"
                )));
            }
        }
        Ok(())
    }

    fn report_not_saved(&self, error: Error) {
        self.delivery.push(Event::StateNotSaved { error: Arc::new(error) });
        self.session.nudge();
    }
}

impl Agent {
    /// Called when this thread asks for its next event or question. Marks the thread's earlier questions as done, if
    /// the agent has a memory.
    pub(crate) fn acknowledge_questions(&self) {
        // A question whose work a stop has interrupted is not done.
        if let Some(memory) = &self.inner.memory
            && !self.inner.closing.is_about_to_stop()
            && memory.acknowledge_earlier()
        {
            self.inner.save_memory();
        }
    }

    /// Marks a question as done, because the agent does not hand out the question.
    pub(crate) fn drop_question(&self, id: &MessageId) {
        if let Some(memory) = &self.inner.memory {
            memory.done(id);
        }
    }

    /// The time at which a waiting thread must save the memory.
    pub(crate) fn next_save(&self) -> Option<Instant> {
        self.inner.memory.as_ref()?.due()
    }

    /// Saves the memory if a save is due.
    pub(crate) fn save_if_due(&self) {
        if let Some(memory) = &self.inner.memory
            && let Some(error) = memory.save_if_due()
        {
            self.inner.report_not_saved(error);
        }
    }
}
