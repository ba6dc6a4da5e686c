//! The tests that need only Rust: encoders against vectors, everything else against servers in the tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a failure here is a failed test"
)]

mod chain;
mod nodes;
mod secrets;
mod server;
mod tips;
mod user_code;
mod vectors;
mod x402;

#[expect(unreachable_pub, reason = "others use it from elsewhere")]
#[path = "../../../../tests/common/watchdog.rs"]
mod watchdog;
