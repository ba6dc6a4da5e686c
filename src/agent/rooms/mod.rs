//! The rooms that the agent is in: [`registry`] knows them, [`join`] gets into them and out of them, [`auto_join`] into
//! those that come by themselves.

pub(crate) mod auto_join;
pub(crate) mod join;
pub(crate) mod registry;

pub(crate) use auto_join::Following;
pub(crate) use registry::{About, Door, Rooms};
