//! How packets travel: over a WebSocket, or in the bodies of HTTP requests.

pub(crate) mod choice;
pub(crate) mod incoming;
pub(crate) mod packet_stream;
pub(crate) mod polling;
pub(crate) mod refusal;
pub(crate) mod websocket;
