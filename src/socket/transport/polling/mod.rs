//! HTTP long-polling: a GET that waits for data from the server, and a POST for each send.

mod receive;
mod request;
mod send;

pub(crate) use receive::{OpenedPoll, open};
pub(crate) use send::{PollSender, SenderState};
