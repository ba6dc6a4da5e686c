//! Sending: the message, its split into parts, and the confirmation that it has arrived.

pub(crate) mod confirm;
pub(crate) mod edit;
mod editor;
pub(crate) mod long;
pub(crate) mod long_send_lock;
pub(crate) mod metadata;
pub(crate) mod metadata_support;
pub(crate) mod outgoing;
pub(crate) mod parts;
pub(crate) mod same_text;
mod split;
pub(crate) mod unsent;

pub use editor::Editor;
pub use long::LongMessages;
pub use outgoing::Outgoing;
pub use unsent::{Posted, Unsent};
