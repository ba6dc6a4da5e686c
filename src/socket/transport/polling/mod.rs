//! HTTP long-polling: one request that waits for what the server says, and one for each thing that is said to it.

pub(crate) mod receive;
pub(crate) mod request;
pub(crate) mod send;
