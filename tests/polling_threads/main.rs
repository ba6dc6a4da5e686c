//! Measures threads and memory of this process, so no other test may run in it.
#![cfg(all(target_os = "linux", feature = "polling"))]
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

mod polling;
