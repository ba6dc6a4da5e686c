//! What the integration tests share: a watchdog, and a server whose every byte the test decides.
//!
//! `mod common;` takes it in. No test uses all of it.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test takes what it needs")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here is a failed test"
)]

mod distance;
mod gate;
mod held;
pub mod hostile;
mod http;
mod poller;
mod programs;
mod promptly;
mod proxy;
pub mod runs;
mod scripted;
mod stage;
mod tls;
mod watchdog;
mod weather;

pub use distance::Distance;
pub use gate::{Gate, Upgrades};
pub use held::HeldPath;
pub use http::{Request, Response};
pub use poller::PollServer;
pub use programs::PROGRAMS;
pub use promptly::promptly;
pub use proxy::{Manner, Protocol, TestProxy};
pub use scripted::{Conn, Received, ScriptedServer};
pub use stage::{SOON, Stage, eventually, scripted, wait_for, wait_for_message};
pub use tls::{Authority, Identity, TlsRelay};
pub use watchdog::{Watchdog, watchdog};
pub use weather::{Dice, Weather};

use crustocean::agent::Transport;

/// What a connection can be carried by in this build.
pub const TRANSPORTS: &[Transport] = &[
    Transport::WebSocket,
    #[cfg(feature = "polling")]
    Transport::Polling,
];
