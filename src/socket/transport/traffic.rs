//! What has come over a transport.

/// What was read since the last call.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// The payload bytes of data messages: headers are no progress.
    pub(crate) bytes: usize,
    /// Complete data messages.
    pub(crate) messages: u32,
    /// Complete control frames.
    pub(crate) controls: u32,
}
