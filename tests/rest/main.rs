//! The REST client: one file per behaviour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a failure here is a failed test"
)]

#[path = "../common/mod.rs"]
mod common;
mod rest_support;

mod account;
mod accounts;
mod agencies;
mod agencies_sandbox;
mod agents;
mod authentication_page;
mod by_reference;
mod commands;
mod endpoints;
mod errors;
mod explore;
mod history;
mod hooks;
mod minimal;
mod odd_answers;
mod onboarding;
mod plain_http;
#[cfg(feature = "receiver")]
mod receiver;
mod request_shapes;
mod roundtrip;
mod sandbox;
mod sessions;
mod token_life;
mod wallet;
mod webhooks;
mod written;
