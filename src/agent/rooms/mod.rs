//! The agent's rooms. [`registry`] stores the rooms. [`join`] joins and leaves rooms. [`restore`] joins the rooms
//! again on a new connection. [`auto_join`] joins new rooms automatically. [`baselines`] reads the start positions in
//! the rooms' histories.

mod auto_join;
mod baselines;
mod join;
mod registry;
mod restore;

pub(crate) use auto_join::Following;
pub(crate) use registry::{RoomInfo, Rooms};
pub(crate) use restore::RoomsHost;
