//! Delivers the messages of the rooms in order and without gaps.
//!
//! [`delivery`] takes events from the session's queue and passes them to the loops. [`cursor`] knows which messages
//! of a room the agent has heard. [`gap`] holds live messages while a room has a gap. [`fill`] reads the room's
//! history page by page ([`fetch`]) to close the gap. [`unreadable`] tracks history elements that cannot be decoded.

mod baseline;
mod cursor;
mod delivery;
pub(crate) mod fetch;
mod fill;
mod gap;
mod room;
mod shared;
mod state;
mod unreadable;

pub(crate) use cursor::HistoryPosition;
pub(crate) use delivery::{Delivery, DeliverySource};
pub(crate) use gap::size_of_message;
