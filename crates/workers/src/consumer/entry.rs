//! Entries of a stream.

/// A delivered entry.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) room: String,
    pub(crate) message: String,
    /// The number of this delivery, from 1 on.
    pub(crate) delivery: u64,
    /// The room may have the answer already, even at the first delivery.
    pub(crate) maybe_answered: bool,
}

/// The id of a stream's entry: a time in ms, and a number among the entries of that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct StreamId(u64, u64);

impl StreamId {
    pub(super) fn parse(text: &str) -> Self {
        let (ms, number) = text.split_once('-').unwrap_or((text, "0"));
        StreamId(ms.parse().unwrap_or_default(), number.parse().unwrap_or_default())
    }
}
