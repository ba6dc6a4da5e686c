//! The traffic of a transport.

/// The data that the transport has read since the last call.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// The payload bytes of data messages, without headers, because headers are no progress.
    pub(crate) bytes: usize,
    /// Complete data messages.
    pub(crate) messages: u32,
    /// Complete control frames.
    pub(crate) controls: u32,
}
