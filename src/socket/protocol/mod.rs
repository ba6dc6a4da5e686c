//! The codecs: pure functions over text, independent of a connection.

pub(crate) mod engine_io;
pub(crate) mod event;
#[cfg(feature = "polling")]
pub(crate) mod polling_payload;
pub(crate) mod socket_io;
