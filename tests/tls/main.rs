//! TLS and proxies. Runs with every set of features.
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

mod agent;
mod options;
mod proxy_tunnel;
mod resumed;
