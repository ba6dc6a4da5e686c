//! The queue of webhook calls.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

/// How many bytes may wait for slow receivers. The queue drops further calls.
const MAX_WAITING: usize = 16 * 1024 * 1024;

/// The bytes of a request in the queue. Dropping this value frees the bytes.
#[derive(Debug)]
pub(crate) struct Reserved {
    bytes: usize,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The queue. Handlers and tests' threads add calls to it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    sender: Mutex<Option<UnboundedSender<(Job, Reserved)>>>,
    waiting: Arc<AtomicUsize>,
}

impl Outbox {
    pub(crate) fn open(&self) -> UnboundedReceiver<(Job, Reserved)> {
        let (sender, receiver) = unbounded_channel();
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    pub(crate) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Reserves space for a request. `None` when the queue is full.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Reserved> {
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let reserved = Reserved { bytes, waiting: self.waiting.clone() };
        (before + bytes <= MAX_WAITING).then_some(reserved)
    }

    /// Adds a call. Returns false and drops the call when the queue is full.
    pub(crate) fn put(&self, job: Job) -> bool {
        let bytes = match &job {
            Job::Event { envelope, .. } => envelope.len(),
            Job::Respond(call) => call.body.len(),
        };
        let Some(reserved) = self.reserve(bytes) else { return false };
        if let Some(sender) = &*self.sender.lock().unwrap_or_else(PoisonError::into_inner) {
            // Sending fails only while the server ends.
            let _ = sender.send((job, reserved));
        }
        true
    }
}
