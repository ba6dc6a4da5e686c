//! The WebSocket transport.

pub(crate) mod frame_scanner;
pub(crate) mod handshake;
pub(crate) mod packets;
