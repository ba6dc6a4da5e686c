//! The rooms as sockets see them: events in, events out, slash commands, and the webhooks that belong to rooms.

pub(crate) mod commands;
pub(crate) mod deliver;
pub(crate) mod disconnect;
pub(crate) mod emit;
pub(crate) mod invoke;
pub(crate) mod namespace;
pub(crate) mod notify;
pub(crate) mod post;
pub(crate) mod response_webhook;
pub(crate) mod room;
pub(crate) mod steer;
