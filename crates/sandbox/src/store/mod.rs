//! The data that a real Crustocean keeps in its database. It does not depend on requests and sockets.

pub(crate) mod accounts;
pub(crate) mod activity;
pub(crate) mod agencies;
pub(crate) mod claiming;
pub(crate) mod claims;
pub(crate) mod custom_commands;
pub(crate) mod data;
pub(crate) mod dms;
pub(crate) mod history;
pub(crate) mod hooks;
pub(crate) mod identity;
pub(crate) mod invites;
pub(crate) mod journal;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod run_rules;
pub(crate) mod runs;
pub(crate) mod signup;
pub(crate) mod subscriptions;
pub(crate) mod tokens;
pub(crate) mod transcript;

pub(crate) use data::{Data, SharedData};
