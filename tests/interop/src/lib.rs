//! Starts the official Socket.IO server in the role of Crustocean, for one test. README.md describes it.

mod agent;
mod server;

#[path = "../../common/upgrade_proxy.rs"]
mod upgrade_proxy;
#[path = "../../common/watchdog.rs"]
mod watchdog;

pub use agent::{connect, in_lobby, next, next_message, token};
pub use serde_json::{Value, json};
pub use server::{
    AGENT, AGENT_NAME, AGENT_TOKEN, ALICE, ALICE_NAME, DEN, DM, Entry, LOBBY, Server, UNVERIFIED_TOKEN, VAULT,
};
pub use upgrade_proxy::{UpgradeProxy, Upgrades};
pub use watchdog::{Watchdog, watchdog};
