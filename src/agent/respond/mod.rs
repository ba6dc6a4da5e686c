//! Which messages the agent answers, and how often.

pub(crate) mod decide;
mod mention;
mod mentions;
mod rate_limit;

pub use decide::Decision;
pub use mention::is_mentioned;
pub use mentions::Mentions;
pub use rate_limit::ExchangeLimit;
