//! A chain, viem and the official x402 packages for one test. See README.md.

mod chain;
mod node;
mod proxy;
mod tls;

#[path = "../../../../tests/common/watchdog.rs"]
mod watchdog;

pub use chain::{Anvil, RICH, hex, word};
pub use node::Script;
pub use proxy::{Fault, proxy};
pub use serde_json::{Value, json};
pub use tls::tls;
pub use watchdog::{Watchdog, watchdog};
