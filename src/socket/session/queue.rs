//! The bounded queue between whoever reads and whoever consumes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::Error;
use crate::socket::protocol::event::RawEvent;
use crate::sync::{Mutex, MutexGuard};

/// What the consumer gets, in order.
#[derive(Debug)]
pub(crate) enum Item {
    Event(RawEvent),
    /// The connection is up (again).
    Connected {
        /// How many tries it took since the last connection broke; 0 for the first connection.
        attempt: u32,
        recovered: bool,
        /// Not the first connection: something may have been missed before this one.
        again: bool,
    },
    /// A connection that is not the first has been restored: what comes from here on is whole again.
    Restored,
    /// The connection broke. The reason is the official client's word for it.
    Disconnected {
        reason: &'static str,
        detail: String,
        retry_in: Duration,
    },
    /// A try to connect again failed.
    ConnectFailed {
        error: Error,
        attempt: u32,
        retry_in: Duration,
    },
    /// Part of what the host keeps on a connection could not be restored on a new one.
    NotRestored {
        what: String,
        error: Error,
    },
    /// Here events were dropped, because nobody took them.
    Lagged {
        missed: u64,
    },
}

/// Bounded in items and bytes. When it is full the oldest application events go; what tells about the connection
/// stays.
#[derive(Debug)]
pub(crate) struct EventQueue {
    items: VecDeque<Item>,
    events: usize,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
}

/// Lifecycle items are never dropped for events, but a connection that flaps for a month while nobody reads must not
/// fill the memory either: beyond this many the oldest go.
const MAX_LIFECYCLE: usize = 1024;

impl EventQueue {
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        EventQueue { items: VecDeque::new(), events: 0, bytes: 0, max_events: max_events.max(1), max_bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Events, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.events, self.bytes)
    }

    /// The point from which it should be filled with care.
    pub(crate) fn is_half_full(&self) -> bool {
        self.events >= self.max_events / 2 || self.bytes >= self.max_bytes / 2
    }

    pub(crate) fn push(&mut self, item: Item) {
        if let Item::Event(event) = &item {
            self.events += 1;
            self.bytes += event.size();
        }
        self.items.push_back(item);
        while self.events > self.max_events || (self.bytes > self.max_bytes && self.events > 1) {
            self.drop_oldest_event();
        }
        if self.items.len() - self.events > MAX_LIFECYCLE {
            let oldest =
                self.items.iter().position(|item| !matches!(item, Item::Event(_) | Item::Lagged { .. }));
            oldest.and_then(|at| self.items.remove(at));
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.forget(&item);
        if self.items.is_empty() && self.items.capacity() > 1024 {
            self.items = VecDeque::new();
        }
        Some(item)
    }

    /// Moves the next few items into the ready: a small part of what the queue may hold, so that it stays bounded.
    fn refill(&mut self, ready: &mut VecDeque<Item>) {
        let Some(first) = self.pop() else { return };
        ready.push_back(first);
        let stop = self.bytes.saturating_sub(self.max_bytes / READY_SHARE);
        for _ in 0..self.max_events / READY_SHARE {
            if self.bytes <= stop {
                break;
            }
            let Some(item) = self.pop() else { break };
            ready.push_back(item);
        }
    }

    fn forget(&mut self, item: &Item) {
        if let Item::Event(event) = item {
            self.events -= 1;
            self.bytes -= event.size();
        }
    }

    /// Takes the oldest event out and leaves (or widens) the mark of the gap in its place.
    fn drop_oldest_event(&mut self) {
        let Some(at) = self.items.iter().position(|item| matches!(item, Item::Event(_))) else { return };
        let before = at.checked_sub(1).and_then(|before| self.items.get_mut(before));
        let dropped = if let Some(Item::Lagged { missed }) = before {
            *missed += 1;
            self.items.remove(at)
        } else {
            let slot = self.items.get_mut(at);
            slot.map(|slot| std::mem::replace(slot, Item::Lagged { missed: 1 }))
        };
        if let Some(item) = dropped {
            self.forget(&item);
        }
    }
}

/// Items on their way from the queue to the consumers, who take them from here without the session's lock. They come
/// before everything in the queue. Locked after the state, or alone.
#[derive(Debug, Default)]
pub(crate) struct ReadyItems(Mutex<VecDeque<Item>>);

/// The part of the queue that fits.
const READY_SHARE: usize = 64;

impl ReadyItems {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Item>> {
        self.0.lock()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Sees to it that there is something to take, if the queue has anything. False if there is nothing.
    pub(crate) fn refill(&self, queue: &mut EventQueue) -> bool {
        let mut items = self.lock();
        if items.is_empty() {
            queue.refill(&mut items);
        }
        !items.is_empty()
    }

    /// The next item. Whoever takes it decides under a lock of their own in which order items are looked at.
    pub(crate) fn take(&self) -> Option<Item> {
        self.lock().pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::Utf8Bytes;

    fn event(n: usize) -> Item {
        let frame = Utf8Bytes::from(format!("[\"m\",{n}]"));
        Item::Event(RawEvent::new(&frame, frame.as_str(), None, Vec::new()).unwrap())
    }

    fn drain(queue: &mut EventQueue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop())
            .map(|item| match item {
                Item::Event(event) => event.args().to_owned(),
                Item::Lagged { missed } => format!("lagged {missed}"),
                other => format!("{other:?}").chars().take_while(char::is_ascii_alphabetic).collect(),
            })
            .collect()
    }

    #[test]
    fn drops_the_oldest_and_marks_the_gap_once() {
        let mut queue = EventQueue::new(3, usize::MAX);
        for n in 0..10 {
            queue.push(event(n));
        }
        assert_eq!(drain(&mut queue), ["lagged 7", "7", "8", "9"]);
        assert_eq!((queue.events, queue.bytes), (0, 0));
    }

    #[test]
    fn keeps_what_tells_about_the_connection() {
        let mut queue = EventQueue::new(2, usize::MAX);
        queue.push(event(0));
        queue.push(Item::Connected { attempt: 0, recovered: false, again: false });
        for n in 1..5 {
            queue.push(event(n));
        }
        assert_eq!(drain(&mut queue), ["lagged 1", "Connected", "lagged 2", "3", "4"]);
    }

    #[test]
    fn counts_bytes_but_keeps_one_large_event() {
        let mut queue = EventQueue::new(100, 10);
        queue.push(event(0));
        assert_eq!(queue.events, 1);
        queue.push(event(1));
        assert_eq!(drain(&mut queue), ["lagged 1", "1"]);
    }

    #[test]
    fn a_flapping_link_does_not_fill_the_memory() {
        let mut queue = EventQueue::new(2, usize::MAX);
        for attempt in 0..5000 {
            queue.push(Item::Connected { attempt, recovered: false, again: true });
        }
        assert!(queue.items.len() <= MAX_LIFECYCLE);
    }
}
