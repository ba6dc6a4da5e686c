//! The agent's rooms. [`registry`] stores the rooms. [`join`] joins and leaves rooms. [`restore`] joins the rooms again
//! on a new connection. [`auto_join`] joins new rooms automatically, and [`following`] is its state. [`home`] is the
//! room that the agent sends to. [`handle`] is a handle to one room, and [`recent`] reads its last messages.
//! [`baselines`] reads the start positions in the rooms' histories.

pub(crate) mod auto_join;
mod baselines;
mod following;
mod handle;
pub(crate) mod home;
pub(crate) mod join;
pub(crate) mod recent;
mod registry;
mod restore;

pub(crate) use following::Following;
pub(crate) use handle::RoomHandle;
pub(crate) use registry::{RoomInfo, Rooms};
pub(crate) use restore::RoomsHost;
