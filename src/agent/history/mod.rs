//! The messages of the rooms, in order and without gaps.
//!
//! [`delivery`] is between the session's queue and the loops. [`cursor`] knows which messages of a room were heard,
//! [`gap`] holds live messages after a gap, [`fill`] reads the history page by page ([`fetch`]) to close it. What cannot be
//! decoded there is [`unreadable`].

mod cursor;
mod delivery;
pub(crate) mod fetch;
mod fill;
mod gap;
mod unreadable;

pub(crate) use cursor::Since;
pub(crate) use delivery::{Delivery, Source};
pub(crate) use gap::size_of_message;
