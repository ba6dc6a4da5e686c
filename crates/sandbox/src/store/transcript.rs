//! The messages of one room: bounded in number and in bytes.

use std::collections::VecDeque;

use crate::store::messages::Message;

/// How many bytes one room keeps, for any number of messages.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A change of a message, for the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Put(String),
    Gone(String),
    Cleared,
}

/// The messages, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    list: VecDeque<Message>,
    bytes: usize,
    /// The number of all messages ever added.
    count: u64,
    /// The recorded changes. `None` if recording is off.
    changes: Option<Vec<Change>>,
}

impl Transcript {
    pub(crate) fn iter(&self) -> std::collections::vec_deque::Iter<'_, Message> {
        self.list.iter()
    }

    /// The number of the newest message.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn last(&self) -> Option<&Message> {
        self.list.back()
    }

    /// Finds a message. Searches from the newest.
    pub(crate) fn get(&self, id: &str) -> Option<&Message> {
        self.list.iter().rev().find(|message| message.id == id)
    }

    /// Adds a message. Removes the oldest when there are more than `most`, or too many bytes. Does not record the
    /// removal as a change, because loading a room applies the same limits.
    pub(crate) fn push(&mut self, mut message: Message, most: usize) {
        self.count += 1;
        message.number = self.count;
        self.note(Change::Put(message.id.clone()));
        self.bytes += message.size();
        self.list.push_back(message);
        self.shrink(most);
    }

    fn shrink(&mut self, most: usize) {
        while self.list.len() > most.max(1) || (self.bytes > MAX_BYTES && self.list.len() > 1) {
            let Some(oldest) = self.list.pop_front() else { return };
            self.bytes -= oldest.size();
        }
    }

    /// Sorts the messages by time, for the fault `skew-clocks`.
    pub(crate) fn sort(&mut self) {
        self.list.make_contiguous().sort_by_key(|message| message.created_at);
    }

    /// Changes a message, and returns the changed message.
    pub(crate) fn edit(&mut self, id: &str, change: impl FnOnce(&mut Message)) -> Option<Message> {
        let message = self.list.iter_mut().rev().find(|message| message.id == id)?;
        let before = message.size();
        change(message);
        let message = message.clone();
        self.bytes = (self.bytes + message.size()).saturating_sub(before);
        self.note(Change::Put(message.id.clone()));
        self.shrink(usize::MAX);
        Some(message)
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Message> {
        let place = self.list.iter().rposition(|message| message.id == id)?;
        let message = self.list.remove(place)?;
        self.bytes -= message.size();
        self.note(Change::Gone(message.id.clone()));
        Some(message)
    }

    pub(crate) fn clear(&mut self) {
        self.list = VecDeque::new();
        self.bytes = 0;
        self.note(Change::Cleared);
    }

    fn note(&mut self, change: Change) {
        if let Some(changes) = &mut self.changes {
            changes.push(change);
        }
    }

    /// Starts to record changes.
    pub(crate) fn track(&mut self) {
        self.changes.get_or_insert_default();
    }

    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        self.changes.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
