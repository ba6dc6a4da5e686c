//! The rooms that the agent is in: [`registry`] knows them, [`join`] gets into them and out of them, [`restore`]
//! joins them again on a new connection, [`auto_join`] joins those that come by themselves, [`baselines`] reads where
//! their stories begin.

mod auto_join;
mod baselines;
mod join;
mod registry;
mod restore;

pub(crate) use auto_join::Following;
pub(crate) use registry::{RoomInfo, Rooms};
pub(crate) use restore::RoomsHost;
