//! Entries that wait for another try, and those of the same rooms behind them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use super::Entry;

/// With more than this nothing further is read.
const MOST: usize = 256;

/// Rooms in which an entry has failed. Other rooms go on meanwhile.
#[derive(Debug, Default)]
pub(super) struct Parked {
    rooms: HashMap<String, Waiting>,
    ids: HashSet<String>,
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    entries: VecDeque<Entry>,
}

impl Parked {
    pub(super) fn holds(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Whether a later entry of this room has to wait its turn.
    pub(super) fn blocks(&self, room: &str) -> bool {
        self.rooms.contains_key(room)
    }

    pub(super) fn is_full(&self) -> bool {
        self.ids.len() >= MOST
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.rooms.values().map(|waiting| waiting.due).min()
    }

    /// Behind what waits in its room.
    pub(super) fn append(&mut self, entry: Entry) {
        if let Some(waiting) = self.rooms.get_mut(&entry.room) {
            self.ids.insert(entry.id.clone());
            waiting.entries.push_back(entry);
        }
    }

    /// Before what waits in its room.
    pub(super) fn put_back(&mut self, entry: Entry, due: Instant) {
        self.ids.insert(entry.id.clone());
        let waiting =
            self.rooms.entry(entry.room.clone()).or_insert_with(|| Waiting { due, entries: VecDeque::new() });
        waiting.due = due;
        waiting.entries.push_front(entry);
    }

    /// The first entry of a room whose time has come. The room stays blocked until it is released.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Entry> {
        let due = self.rooms.values_mut().filter(|waiting| waiting.due <= now);
        let first = due.min_by_key(|waiting| waiting.due)?;
        let entry = first.entries.pop_front()?;
        self.ids.remove(&entry.id);
        Some(entry)
    }

    /// The entry that was taken is done with: the next one of its room may come.
    pub(super) fn release(&mut self, room: &str) {
        if let Some(waiting) = self.rooms.get_mut(room) {
            waiting.due = Instant::now();
            if waiting.entries.is_empty() {
                self.rooms.remove(room);
            }
        }
    }
}
