//! Decides which messages the agent answers, and how often.

pub(crate) mod answerable;
pub(crate) mod asks;
mod commands;
pub(crate) mod decide;
mod handle;
mod mention;
mod mentions;
mod parallel;
mod rate_limit;

pub use commands::CommandMentions;
pub use decide::{Decision, decide};
pub use handle::is_mentioned;
pub use mention::Mention;
pub use mentions::Mentions;
pub use rate_limit::ExchangeLimit;
