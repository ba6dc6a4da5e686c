//! Helpers for the integration tests: a watchdog, servers and proxies. Each test uses some of them.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test program uses some of them")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here is a failed test"
)]

mod date;
mod distance;
mod faulty_proxy;
mod holding_proxy;
pub mod hostile;
mod http;
mod poller;
mod programs;
mod promptly;
mod proxy;
pub mod runs;
mod scripted;
mod shown;
mod test_sandbox;
mod tls;
mod upgrade_proxy;
mod watchdog;

pub use date::iso;
pub use distance::{Distance, at_most};
pub use faulty_proxy::{FaultyProxy, Random};
pub use holding_proxy::HoldingProxy;
pub use http::{Request, Response};
pub use poller::PollServer;
pub use programs::{PROGRAMS, cargo};
pub use promptly::promptly;
pub use proxy::{Protocol, ProxyBehaviour, TestProxy};
pub use scripted::{Conn, Received, ScriptedServer};
pub use shown::shown;
pub use test_sandbox::{SOON, TestSandbox, asked, eventually, scripted, wait_for, wait_for_message};
pub use tls::{Authority, Identity, TlsRelay};
pub use upgrade_proxy::{UpgradeProxy, Upgrades};
pub use watchdog::{Watchdog, watchdog};

use crustocean::agent::Transport;

/// The transports of this build.
pub const TRANSPORTS: &[Transport] = &[
    Transport::WebSocket,
    #[cfg(feature = "polling")]
    Transport::Polling,
];
