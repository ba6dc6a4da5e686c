//! Environment variables, each case in a process of its own.
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

mod proxy;
mod variables;
