//! HTTP long-polling: a GET that waits for data from the server, and a POST for each send.

#[cfg(not(feature = "polling"))]
mod none;
#[cfg(feature = "polling")]
mod receive;
#[cfg(feature = "polling")]
mod request;
#[cfg(feature = "polling")]
mod send;

#[cfg(not(feature = "polling"))]
pub(crate) use none::{OpenedPoll, PollReceiver, PollSender, SendTurn, open};
#[cfg(feature = "polling")]
pub(crate) use receive::{OpenedPoll, PollReceiver, open};
#[cfg(feature = "polling")]
pub(crate) use send::{PollSender, SendTurn};
