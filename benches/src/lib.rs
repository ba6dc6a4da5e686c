//! What the benches share: a server that costs nothing, the bare loop, and looks into `/proc`.
//!
//! How to run them and what they have shown: `README.md` beside this crate's manifest.
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
// The tests' own authority and relay.
#[path = "../../tests/common/tls.rs"]
#[allow(
    dead_code,
    missing_docs,
    missing_debug_implementations,
    clippy::new_without_default,
    reason = "made for the tests"
)]
pub mod tls;

/// The token that the replay server takes for an agent's.
pub const TOKEN: &str = "sk_bench";
/// The room that everybody joins.
pub const ROOM: &str = "4f0c8e4e-7d1b-4a61-9a6e-0c5f3b1d2a90";
