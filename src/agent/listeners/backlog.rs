//! The events that wait for one listener.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::agent::event::Event;
use crate::model::{AgencyId, Message, MessageId, Timestamp};

/// The largest number of ids of dropped messages in one room. The thread reads only these messages again.
const MAX_LOST: usize = 16_384;

/// The limits of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// A bounded queue. When the queue is full, `push` drops the oldest events. A thread reads the dropped messages again
/// from the rooms' histories. These messages come before newer events.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    events: VecDeque<(Event, usize)>,
    bytes: usize,
    /// The number of dropped events that `pop` has not reported yet.
    missed: u64,
    /// The messages among the dropped events.
    lost: HashMap<AgencyId, Lost>,
    /// The number of the thread that reads dropped messages, if one is running.
    reader: Option<u64>,
    /// The messages that the thread has read. `pop` returns these first.
    found: VecDeque<Event>,
}

/// Dropped messages of one room.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    pub(crate) ids: HashSet<MessageId>,
    /// The time of the earliest message in `ids`.
    pub(crate) since: Option<Timestamp>,
    /// The number of dropped messages that are not in `ids`.
    pub(crate) unknown: u64,
}

impl Lost {
    pub(crate) fn add(&mut self, id: MessageId, time: Timestamp) {
        if self.ids.len() >= MAX_LOST {
            self.unknown += 1;
            return;
        }
        self.ids.insert(id);
        self.since = Some(self.since.take().map_or(time.clone(), |since| since.min(time)));
    }
}

/// The result of [`Backlog::pop`].
pub(super) enum Next {
    Event(Event),
    /// The caller must start a thread that reads these messages again.
    Read(HashMap<AgencyId, Lost>),
    /// The queue is empty, or a thread is still reading the next messages.
    Nothing,
}

impl Backlog {
    /// Adds an event. `may_read`: whether a thread reads dropped messages again. Returns the number of dropped events.
    pub(super) fn push(&mut self, event: Event, size: usize, bounds: Bounds, may_read: bool) -> u64 {
        self.bytes += size;
        self.events.push_back((event, size));
        let before = self.missed;
        while self.events.len() > bounds.events || self.bytes > bounds.bytes && self.events.len() > 1 {
            let Some((event, size)) = self.events.pop_front() else { break };
            self.bytes -= size;
            self.missed += 1;
            if let Event::Message(message) = event
                && may_read
            {
                self.lose(message);
            }
        }
        self.missed - before
    }

    fn lose(&mut self, message: Message) {
        self.lost.entry(message.agency_id).or_default().add(message.id, message.created_at);
    }

    /// Takes the next event. `reader` is the number for a new reading thread, if one is needed.
    pub(super) fn pop(&mut self, reader: u64) -> Next {
        if let Some(event) = self.found.pop_front() {
            return Next::Event(event);
        }
        if self.missed > 0 {
            return Next::Event(Event::Lagged { missed: std::mem::take(&mut self.missed) });
        }
        if self.reader.is_some() {
            return Next::Nothing;
        }
        if !self.lost.is_empty() {
            self.reader = Some(reader);
            return Next::Read(std::mem::take(&mut self.lost));
        }
        let Some((event, size)) = self.events.pop_front() else { return Next::Nothing };
        self.bytes -= size;
        Next::Event(event)
    }

    /// The number of results that [`pop`](Backlog::pop) can return at once.
    pub(super) fn ready(&self) -> usize {
        let newer = match (&self.reader, self.lost.is_empty()) {
            (Some(_), _) => 0,
            (None, false) => 1,
            (None, true) => self.events.len(),
        };
        self.found.len() + usize::from(self.missed > 0) + newer
    }

    /// The number of events, and of their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.events.len() + self.found.len(), self.bytes)
    }

    /// Whether dropped messages must be read before newer events.
    pub(super) fn is_held(&self) -> bool {
        self.reader.is_some() || !self.lost.is_empty()
    }

    pub(super) fn has_reader(&self, number: u64) -> bool {
        self.reader == Some(number)
    }

    /// Ends the reading. `found` are the messages from the histories; `later` are the messages to read next.
    pub(super) fn end_reading(&mut self, found: Vec<Event>, later: HashMap<AgencyId, Lost>) {
        self.reader = None;
        self.found.extend(found);
        for (room, mut lost) in later {
            let newer = self.lost.remove(&room).unwrap_or_default();
            lost.unknown += newer.unknown;
            if let Some(time) = newer.since {
                newer.ids.into_iter().for_each(|id| lost.add(id, time.clone()));
            }
            self.lost.insert(room, lost);
        }
    }

    /// Stops reading. Returns the rooms whose messages are missing.
    pub(super) fn give_up(&mut self) -> Vec<AgencyId> {
        self.reader = None;
        std::mem::take(&mut self.lost).into_keys().collect()
    }
}
