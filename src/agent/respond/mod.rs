//! Being spoken to: what is for the agent, whether it may answer, and how often.

pub(crate) mod decide;
mod mention;
mod mentions;
mod parallel;
mod rate_limit;

pub use decide::Decision;
pub use mention::is_mentioned;
pub use mentions::Mentions;
pub use rate_limit::ExchangeLimit;
