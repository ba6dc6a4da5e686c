//! The agent's rooms. [`registry`] stores the rooms. [`join`] joins and leaves rooms. [`restore`] joins the rooms
//! again on a new connection. [`auto_join`] joins new rooms automatically, and [`following`] is its state. [`baselines`] reads the start positions in
//! the rooms' histories.

mod auto_join;
mod baselines;
mod following;
mod join;
mod registry;
mod restore;

pub(crate) use following::Following;
pub(crate) use registry::{RoomInfo, Rooms};
pub(crate) use restore::RoomsHost;
