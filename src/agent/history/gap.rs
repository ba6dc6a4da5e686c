//! A gap in one room. Live messages wait until the history has been read.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::agent::event::Event;
use crate::model::{Message, MessageId};

/// A gap in the messages of a room.
#[derive(Debug)]
pub(super) struct Gap {
    /// Identifies the gap. A helper may finish after its gap was closed.
    pub(super) id: u64,
    /// Whether the gap has ended: the room is joined again, and live messages are complete from now on.
    pub(super) ended: bool,
    /// A helper is reading the history.
    pub(super) filling: bool,
    /// The agent has missed more messages meanwhile, so a helper must read the history again.
    pub(super) again: bool,
    /// How often helpers have read the history.
    pub(super) rounds: u32,
    /// The time at which the delivery releases the held messages, even if no helper has read the history.
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
    /// The ids of the held messages. The value is `true` if a page of the history contained the message.
    ids: HashMap<MessageId, bool>,
    bytes: usize,
    /// The number of held events that came before the last loss. The history may have messages after these events.
    before_loss: usize,
    /// A part of the history cannot be read. Held messages may belong to this part.
    history_is_partial: bool,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains_key(id)
    }

    /// Holds an event. Ignores a message that is already held.
    pub(super) fn push(&mut self, event: Event, size: usize) {
        if let Event::Message(message) = &event
            && self.ids.insert(message.id.clone(), false).is_some()
        {
            return;
        }
        self.bytes += size;
        self.events.push_back((event, size));
    }

    /// Notes that the agent has missed messages after all events that it holds now.
    pub(super) fn note_loss(&mut self) {
        self.before_loss = self.events.len();
    }

    /// Notes that a part of the history cannot be read.
    pub(super) fn note_partial_history(&mut self) {
        self.history_is_partial = true;
    }

    /// Marks the held messages that a page of the history contains.
    pub(super) fn note_page(&mut self, page: &[Message]) {
        for message in page {
            if let Some(is_in_history) = self.ids.get_mut(&message.id) {
                *is_in_history = true;
            }
        }
    }

    /// Whether the first held message comes before `missed`, although no page of the history contains the held
    /// message (it was deleted, or cannot be read there). Only the times of the two messages can tell.
    pub(super) fn is_due_before(&self, missed: &Message) -> bool {
        let mut candidates = match self.history_is_partial {
            true => self.events.range(..),
            false => self.events.range(..self.before_loss.min(self.events.len())),
        };
        let first = candidates.find_map(|(event, _)| match event {
            Event::Message(message) => Some(message),
            _ => None,
        });
        first.is_some_and(|first| {
            let is_in_history = self.ids.get(&first.id).copied().unwrap_or_default();
            let times = (first.created_at.to_system_time(), missed.created_at.to_system_time());
            !is_in_history && matches!(times, (Some(first), Some(missed)) if first < missed)
        })
    }

    pub(super) fn pop(&mut self) -> Option<(Event, usize)> {
        let (event, size) = self.events.pop_front()?;
        self.before_loss = self.before_loss.saturating_sub(1);
        self.bytes -= size;
        if let Event::Message(message) = &event {
            self.ids.remove(&message.id);
        }
        Some((event, size))
    }
}

/// The approximate size of a message in memory, in bytes.
pub(crate) fn size_of_message(message: &Message) -> usize {
    size_of::<Message>() + 256 + message.content.len() + message.metadata.raw().len()
}
