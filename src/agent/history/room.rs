//! The state of one room's messages.

use crate::agent::history::cursor::HistoryCursor;
use crate::agent::history::gap::Gap;
use crate::model::MessageEdited;

/// A room: its cursor, and its gap if messages may be missing.
#[derive(Debug, Default)]
pub(super) struct RoomHistory {
    pub(super) cursor: HistoryCursor,
    pub(super) gap: Option<Gap>,
    /// The number of threads that read the room's baseline.
    pub(super) readers: usize,
    /// Whether a thread has read the baseline. Helpers fill a gap only after that.
    pub(super) has_baseline: bool,
}

impl RoomHistory {
    pub(super) fn new(cursor: HistoryCursor) -> Self {
        RoomHistory { cursor, ..RoomHistory::default() }
    }

    /// A room with a gap. The delivery holds its messages.
    pub(super) fn with_gap(cursor: HistoryCursor, gap: Gap) -> Self {
        RoomHistory { gap: Some(gap), ..RoomHistory::new(cursor) }
    }

    /// Whether a thread is still reading the baseline.
    pub(super) fn waits_for_baseline(&self) -> bool {
        self.readers > 0 && !self.has_baseline
    }

    /// Whether the edit belongs to a message of this room.
    pub(super) fn contains(&self, edit: &MessageEdited) -> bool {
        let held = self.gap.as_ref().is_some_and(|gap| gap.held.contains(&edit.message_id));
        held || self.cursor.knows(&edit.message_id)
    }
}
