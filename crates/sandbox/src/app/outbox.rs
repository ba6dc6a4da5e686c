//! Work for the delivery task: webhooks to call.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// One request to a response webhook.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) agent: String,
    pub(crate) agency: String,
    pub(crate) url: String,
    pub(crate) secret: Option<String>,
    pub(crate) body: String,
    pub(crate) hops: u32,
}

#[derive(Debug)]
pub(crate) enum Job {
    /// An envelope for a subscription.
    Event {
        subscription: String,
        envelope: String,
    },
    Respond(Call),
}

/// Where work for later goes; handlers and tests' threads alike put it there.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Mutex<Option<UnboundedSender<Job>>>);

impl Outbox {
    pub(crate) fn open(&self) -> UnboundedReceiver<Job> {
        let (sender, receiver) = unbounded_channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(crate) fn put(&self, job: Job) {
        if let Some(sender) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // Nobody is there to take it only when the server ends.
            let _ = sender.send(job);
        }
    }
}
