//! A model checker runs the session's code with a scripted connection, in thousands of thread schedules.
//!
//! The checks in every schedule: no thread waits forever; no two threads read or connect at the same time; no thread
//! uses a connection after it knows that the connection is dead; the session's report about each message is true.
//! `src/sync/modelled.rs` explains how time passes.
//!
//! `tests/model/run` runs the model. `CRUSTOCEAN_MODEL_SCHEDULES` sets the number of schedules for each scenario.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "an assertion is what it is for")]

pub(crate) mod connection;
#[cfg(test)]
mod driver;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod scene;
mod server;
