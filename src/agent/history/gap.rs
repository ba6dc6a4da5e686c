//! A gap in one room: live messages wait until the history has been read.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use crate::agent::event::Event;
use crate::model::{Message, MessageId};

/// A gap in the messages of a room.
#[derive(Debug)]
pub(super) struct Gap {
    /// Identifies the gap: a helper may finish too late for it.
    pub(super) id: u64,
    /// Whether the gap has ended: the room is joined again, and live messages are complete.
    pub(super) ended: bool,
    /// A helper is reading the history.
    pub(super) filling: bool,
    /// More was missed meanwhile: the history must be read again.
    pub(super) again: bool,
    /// How often the history was read.
    pub(super) rounds: u32,
    /// When the held messages are released in any case.
    pub(super) deadline: Option<Instant>,
    pub(super) held: Held,
}

impl Gap {
    pub(super) fn new(id: u64) -> Self {
        Gap {
            id,
            ended: false,
            filling: false,
            again: false,
            rounds: 0,
            deadline: None,
            held: Held::default(),
        }
    }
}

/// Live messages and edits, in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Held {
    events: VecDeque<(Event, usize)>,
    ids: HashSet<MessageId>,
    bytes: usize,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains(id)
    }

    /// A message that is held already is ignored.
    pub(super) fn push(&mut self, event: Event, size: usize) {
        if let Event::Message(message) = &event
            && !self.ids.insert(message.id.clone())
        {
            return;
        }
        self.bytes += size;
        self.events.push_back((event, size));
    }

    pub(super) fn pop(&mut self) -> Option<(Event, usize)> {
        let (event, size) = self.events.pop_front()?;
        self.bytes -= size;
        if let Event::Message(message) = &event {
            self.ids.remove(&message.id);
        }
        Some((event, size))
    }
}

/// The approximate memory of a message.
pub(crate) fn size_of_message(message: &Message) -> usize {
    size_of::<Message>() + 256 + message.content.len() + message.metadata.raw().len()
}
