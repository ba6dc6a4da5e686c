//! Saying something: what is said, in how many parts, and how it is known to have arrived.

pub(crate) mod confirm;
pub(crate) mod edit;
mod editor;
pub(crate) mod long;
pub(crate) mod metadata;
pub(crate) mod outgoing;
mod split;
mod unsent;

pub use editor::Editor;
pub use long::LongMessages;
pub use outgoing::Outgoing;
pub use unsent::{Posted, Unsent};
