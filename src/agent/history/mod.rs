//! What was said in the rooms, in order and without gaps.
//!
//! [`delivery`] stands between the session's queue and the loops. [`cursor`] knows what was heard of a room, [`gap`]
//! holds what came live behind a gap, [`fill`] reads the history that closes it, page by page ([`fetch`]).

mod cursor;
mod delivery;
pub(crate) mod fetch;
mod fill;
mod gap;

pub(crate) use cursor::Since;
pub(crate) use delivery::{Delivery, Source};
pub(crate) use gap::size_of_message;
