#![doc = include_str!("../README.md")]

mod answer;
mod answer_sender;
mod backoff;
mod balance;
mod connect;
mod connection;
mod consumer;
mod dead;
mod error;
mod intake;
mod keys;
mod lease;
mod logging;
mod moment;
mod placement;
mod status;
mod store;
mod user_code;
mod workers;

pub use answer::Answer;
/// Ends [`Intake::run`], [`Workers::run`], [`Placement::run`] and waits for a [`Lease`]. The same type as in the SDK.
pub use crustocean::Stop;
pub use dead::{DeadLetter, DeadLetters};
pub use error::{Error, ErrorKind, Result};
pub use intake::Intake;
pub use lease::{Lease, Term, TermEnd};
pub use placement::Placement;
pub use status::{Holder, Shard, Status};
pub use store::Store;
pub use workers::{HandlerError, Output, Task, Workers};
