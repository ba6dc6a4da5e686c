//! Tests against a real `redis-server`, in one process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod intake;
mod late_echo;
mod lease;
mod placement;
mod rig;
mod runs;
mod threads;
mod user_code;
mod workers;
