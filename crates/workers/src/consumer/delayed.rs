//! Entries that wait for another delivery, and the later entries of the same rooms.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use super::entry::Entry;

/// How many entries may be delayed. A full list stops the reading of new entries.
const MAX_DELAYED: usize = 256;

/// The rooms in which an entry has failed. Other rooms are not blocked.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    rooms: HashMap<String, Waiting>,
    ids: HashSet<String>,
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    entries: VecDeque<Entry>,
}

impl Delayed {
    pub(super) fn holds(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Whether later entries of this room have to wait.
    pub(super) fn blocks(&self, room: &str) -> bool {
        self.rooms.contains_key(room)
    }

    pub(super) fn is_full(&self) -> bool {
        self.ids.len() >= MAX_DELAYED
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.rooms.values().map(|waiting| waiting.due).min()
    }

    /// Adds an entry as the last one of its room, if the room is blocked.
    pub(super) fn append(&mut self, entry: Entry) {
        if let Some(waiting) = self.rooms.get_mut(&entry.room) {
            self.ids.insert(entry.id.clone());
            waiting.entries.push_back(entry);
        }
    }

    /// Adds an entry as the first one of its room, and blocks the room until `due`.
    pub(super) fn put_back(&mut self, entry: Entry, due: Instant) {
        self.ids.insert(entry.id.clone());
        let waiting =
            self.rooms.entry(entry.room.clone()).or_insert_with(|| Waiting { due, entries: VecDeque::new() });
        waiting.due = due;
        waiting.entries.push_front(entry);
    }

    /// Takes the first entry of a room that is due. The room stays blocked until `release`.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Entry> {
        let due = self.rooms.values_mut().filter(|waiting| waiting.due <= now);
        let first = due.min_by_key(|waiting| waiting.due)?;
        let entry = first.entries.pop_front()?;
        self.ids.remove(&entry.id);
        Some(entry)
    }

    /// Call this when the taken entry is done. The next entry of its room is due at once.
    pub(super) fn release(&mut self, room: &str) {
        if let Some(waiting) = self.rooms.get_mut(room) {
            waiting.due = Instant::now();
            if waiting.entries.is_empty() {
                self.rooms.remove(room);
            }
        }
    }
}
