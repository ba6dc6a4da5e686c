//! x402: payments for requests that a server answers with HTTP status 402.

mod body;
mod client;
mod failure;
mod ledger;
mod limits;
mod middleware;
mod offer;
mod origin;
mod receipt;

pub use client::{Answer, X402};
pub use failure::X402Error;
pub use limits::{X402WithoutDailyLimit, X402WithoutLimits};
pub use receipt::{Collected, Receipt};
