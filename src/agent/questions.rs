//! The questions of an agent that has a memory. This module marks questions as done and saves the memory.

use std::sync::Arc;
use std::time::Instant;

use crate::agent::{Agent, Event, Inner};
use crate::error::Error;
use crate::model::MessageId;

impl Inner {
    /// Saves the agent's memory if it has changed.
    pub(crate) fn save_memory(&self) {
        if let Some(memory) = &self.memory
            && let Some(error) = memory.save()
        {
            self.tell_not_saved(error);
        }
    }

    fn tell_not_saved(&self, error: Error) {
        self.delivery.push(Event::StateNotSaved { error: Arc::new(error) });
        self.session.nudge();
    }
}

impl Agent {
    /// Called when this thread asks for its next event or question. Marks the thread's earlier questions as done, if
    /// the agent has a memory.
    pub(crate) fn acknowledge_questions(&self) {
        // A question that a stop has interrupted is not done.
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
            self.inner.tell_not_saved(error);
        }
    }
}
