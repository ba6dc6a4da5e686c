//! What the agent knows about the metadata of its messages.

use std::sync::atomic::{AtomicU8, Ordering};

/// Whether this server keeps unknown metadata, as far as the agent knows.
#[derive(Debug, Default)]
pub(crate) struct MetadataSupport(AtomicU8);

impl MetadataSupport {
    pub(super) const KEPT: u8 = 1;
    pub(super) const DROPPED: u8 = 2;

    pub(super) fn is(&self, what: u8) -> bool {
        self.0.load(Ordering::Relaxed) == what
    }

    pub(super) fn learn(&self, what: u8) {
        self.0.store(what, Ordering::Relaxed);
    }
}
