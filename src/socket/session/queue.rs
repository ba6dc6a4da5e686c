//! The bounded queue between the reader and the consumers.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::Error;
use crate::socket::protocol::event::RawEvent;
use crate::sync::Mutex;

/// An item for the consumers.
#[derive(Debug)]
pub(crate) enum Item {
    Event(RawEvent),
    /// The connection is up (again).
    Connected {
        /// The number of attempts since the last connection broke; 0 for the first connection.
        attempt: u32,
        recovered: bool,
        /// This is not the first connection: events may have been missed before it.
        again: bool,
    },
    /// The host has restored a later connection: no event is missing from here on.
    Restored,
    /// The connection ended. `reason` is the official client's term.
    Disconnected {
        reason: &'static str,
        detail: String,
        retry_in: Duration,
    },
    /// An attempt to reconnect failed.
    ConnectFailed {
        error: Error,
        attempt: u32,
        retry_in: Duration,
    },
    /// The host could not restore a part of its state on a new connection.
    NotRestored {
        what: String,
        error: Error,
    },
    /// A gap: the queue has dropped events here, because no consumer took them in time.
    Lagged {
        missed: u64,
    },
}

/// How large the queue to the consumer may grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

/// A queue that is bounded in events and bytes. A full queue drops its oldest events, but keeps the items about the
/// connection.
#[derive(Debug)]
pub(crate) struct EventQueue {
    items: VecDeque<Item>,
    events: usize,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
}

/// The limit for items about the connection; the queue drops the oldest. Events never displace these items, but a
/// connection that breaks often while no consumer reads must not fill the memory.
const MAX_LIFECYCLE: usize = 1024;

impl EventQueue {
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        EventQueue { items: VecDeque::new(), events: 0, bytes: 0, max_events: max_events.max(1), max_bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The number of events, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.events, self.bytes)
    }

    /// Whether the queue is half full. The reader then slows down.
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

    /// Moves the next few items to `ready`: at most a small part of the queue's limit, so that `ready` stays bounded.
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

    /// Removes the oldest event. Puts a gap item in its place, or adds to the gap item before it.
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

/// The items that consumers take next, without the session's lock. These items are older than all items in the queue.
/// Take this lock alone, or after the state's lock.
///
/// This second part of the queue is for speed: without it, each event would cost the session's lock, which the reader
/// also needs. `events` and `events_by_threads` in `benches/agent.rs` measure it.
#[derive(Debug, Default)]
pub(crate) struct ReadyItems(Mutex<VecDeque<Item>>);

/// One call moves at most this fraction (1/64) of the queue's limit.
const READY_SHARE: usize = 64;

impl ReadyItems {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Moves items from the queue if none is ready. Returns whether an item is ready.
    pub(crate) fn refill(&self, queue: &mut EventQueue) -> bool {
        let mut items = self.0.lock();
        if items.is_empty() {
            queue.refill(&mut items);
        }
        !items.is_empty()
    }

    /// Takes the next item. Several consumers need their own lock to handle items in order.
    pub(crate) fn take(&self) -> Option<Item> {
        self.0.lock().pop_front()
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
