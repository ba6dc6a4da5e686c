//! The code that the benches share: a server that is faster than every client, the bare loop, and readers of `/proc`.
//!
//! `README.md` beside this crate's manifest says how to run the benches. It also has the results.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench that fails should stop"
)]

pub mod bare;
pub mod distance;
pub mod load;
pub mod paging;
pub mod process;
pub mod replay;
pub mod steps;
pub mod stream;
// The certificate authority and the TLS relay of the tests.
#[path = "../../tests/common/tls.rs"]
#[allow(
    dead_code,
    missing_docs,
    missing_debug_implementations,
    clippy::new_without_default,
    reason = "made for the tests"
)]
pub mod tls;

/// The agent token that the replay server accepts.
pub const TOKEN: &str = "sk_bench";
/// The room that every client joins.
pub const ROOM: &str = "4f0c8e4e-7d1b-4a61-9a6e-0c5f3b1d2a90";
