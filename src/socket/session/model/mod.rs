//! The session under a model checker: its own code, with a scripted connection, in thousands of schedules.
//!
//! In every schedule: no thread waits for ever, nobody reads or connects beside somebody else, nobody uses a connection
//! that is known to be dead, and what the session says of a message is true. `src/sync/modelled.rs` says what time does.
//!
//! `tests/model/run` runs it. `CRUSTOCEAN_MODEL_SCHEDULES` says how many schedules each scenario gets.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "an assertion is what it is for")]

pub(crate) mod connection;
#[cfg(test)]
mod keeps;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod scene;
mod server;
