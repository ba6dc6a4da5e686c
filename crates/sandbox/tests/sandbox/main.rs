//! The sandbox as its clients see it: one file per behaviour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a failure here is a failed test"
)]

mod common;

mod chat;
mod claims;
mod command_webhooks;
mod control;
mod data;
mod deliveries;
mod endpoints;
mod freeze;
mod hooks;
mod integrations;
mod likeness;
mod misbehaviour;
mod onboarding;
mod permissions;
mod program;
mod response_webhooks;
mod restart;
mod rooms;
mod runs;
mod safety;
mod script;
mod server_rules;
mod slow_client;
mod tokens;
