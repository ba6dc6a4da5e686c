//! HTTP long-polling: one request that waits for what the server says, and one for each thing that is said to it.

#[cfg(not(feature = "polling"))]
mod none;
#[cfg(feature = "polling")]
mod receive;
#[cfg(feature = "polling")]
mod request;
#[cfg(feature = "polling")]
mod send;

#[cfg(not(feature = "polling"))]
pub(crate) use none::{OpenedPoll, PollReceiver, PollSender, open};
#[cfg(feature = "polling")]
pub(crate) use receive::{OpenedPoll, PollReceiver, open};
#[cfg(feature = "polling")]
pub(crate) use send::PollSender;
