//! The examples and the acceptance bots run as separate programs.
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

mod acceptance_bots;
mod copied_examples;
mod examples;
mod examples_agent;
mod pages;
#[cfg(unix)]
mod service;
mod webhooks;
