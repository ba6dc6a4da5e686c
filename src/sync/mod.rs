//! The locks, condition variables, threads and the clock of a session.
//!
//! Normally these types are from the standard library. With `--cfg crustocean_model` they are from a model checker,
//! which runs the session in thousands of schedules: `src/socket/session/model` has the scenarios.
//!
//! Code that the model checker does not run uses the locks of [`lock`].

pub(crate) mod lock;
#[cfg(crustocean_model)]
pub(crate) mod modelled;
#[cfg(not(crustocean_model))]
mod native;

#[cfg(crustocean_model)]
pub(crate) use modelled::{AtomicBool, AtomicU64, Builder, Condvar, JoinHandle, Mutex, MutexGuard, now};
#[cfg(not(crustocean_model))]
pub(crate) use native::{AtomicBool, AtomicU64, Builder, Condvar, JoinHandle, Mutex, MutexGuard, now};
