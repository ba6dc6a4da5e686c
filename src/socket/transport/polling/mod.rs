//! HTTP long-polling: a GET that waits for data from the server, and a POST for each send.

pub(crate) mod receive;
pub(crate) mod request;
pub(crate) mod send;
