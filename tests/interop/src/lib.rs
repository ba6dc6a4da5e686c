//! Starts the official Socket.IO server, playing Crustocean, for one test. See README.md.

mod agent;
mod server;

#[path = "../../common/gate.rs"]
mod gate;
#[path = "../../common/watchdog.rs"]
mod watchdog;

pub use agent::{connect, in_lobby, next, next_message, token};
pub use gate::{Gate, Upgrades};
pub use serde_json::{Value, json};
pub use server::{
    AGENT, AGENT_NAME, AGENT_TOKEN, ALICE, ALICE_NAME, DEN, DM, Entry, LOBBY, Server, UNVERIFIED_TOKEN, VAULT,
};
pub use watchdog::{Watchdog, watchdog};
