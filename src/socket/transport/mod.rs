//! The transports: a WebSocket, or HTTP long-polling.

pub(crate) mod choice;
pub(crate) mod packet_stream;
#[cfg(feature = "polling")]
pub(crate) mod polling;
pub(crate) mod refusal;
pub(crate) mod target;
pub(crate) mod traffic;
pub(crate) mod websocket;
