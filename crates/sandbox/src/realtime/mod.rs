//! The real-time side: events from and to sockets, slash commands, and the webhooks of rooms.

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
pub(crate) mod run_control;
