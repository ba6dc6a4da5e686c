//! Against a real `redis-server`, in one process.

#[path = "../support/mod.rs"]
mod support;

mod intake;
mod lease;
mod placement;
mod workers;
