//! The agent's rooms. [`registry`] stores them, [`join`] joins and leaves them, [`restore`] joins them again on a new
//! connection, [`auto_join`] joins new ones automatically, [`baselines`] reads the start positions in their histories.

mod auto_join;
mod baselines;
mod join;
mod registry;
mod restore;

pub(crate) use auto_join::Following;
pub(crate) use registry::{RoomInfo, Rooms};
pub(crate) use restore::RoomsHost;
