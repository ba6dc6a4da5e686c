//! One room's gap: what came live after it waits until the history has been read.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use crate::agent::event::Event;
use crate::model::{Message, MessageId};

/// A gap in what was heard of a room.
#[derive(Debug)]
pub(super) struct Gap {
    /// Tells it from other gaps of the room: who fills it may come too late.
    pub(super) id: u64,
    /// Whether it has an end: the room is joined (again), and what comes live is whole.
    pub(super) ended: bool,
    /// A helper reads the history.
    pub(super) filling: bool,
    /// Something more was missed meanwhile: it has to be read again.
    pub(super) again: bool,
    /// How often it was read already.
    pub(super) rounds: u32,
    /// When what is held is released in any case.
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

/// Messages and edits that came live, in the order of arrival.
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

    /// A message that is held already changes nothing.
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

/// Roughly the memory that a message takes.
pub(crate) fn size_of_message(message: &Message) -> usize {
    size_of::<Message>() + 256 + message.content.len() + message.metadata.raw().len()
}
