//! Delivers events from the session's queue to the loops. Each event is delivered once and in order. No newer message
//! of a room is delivered before the room's gap is filled.
//!
//! One rule ensures order and completeness: a thread takes an event from the queue *and* notes the event in its
//! room's [`HistoryCursor`](super::cursor::HistoryCursor) in one step, under one lock. So a cursor covers all earlier
//! events, even if other threads deliver them and have not finished.
//!
//! A reconnect or a full queue leaves a gap in every room. While a room has a gap, the delivery holds the room's
//! messages and edits; other events pass. [Helpers](super::fill) read the histories and pass the missed messages to
//! the delivery. No thread holds the lock during a request or while user code runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use crate::agent::event::Event;
use crate::agent::history::cursor::HistoryPosition;
use crate::agent::history::fill;
use crate::agent::history::shared::DeliveryShared;
use crate::agent::history::state::{DeliveryState, is_new};
use crate::agent::memory::Memory;
use crate::error::Error;
use crate::model::AgencyId;
use crate::rest::Client;
use crate::socket::{Item, ReadyItems, Session, SessionLog};

/// The sources of events and of missed messages.
pub(crate) struct DeliverySource<'a> {
    pub(crate) session: &'a Session,
    pub(crate) client: &'a Client,
}

/// Hands out the events of a session in order, including missed messages. Dropping the delivery stops the helpers.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(super) shared: Arc<DeliveryShared>,
    /// The session's next items.
    items: Arc<ReadyItems>,
    /// Whether the agent has missed events. They need not be messages.
    missed: AtomicBool,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Delivery {
    pub(crate) fn new(items: Arc<ReadyItems>, log: SessionLog, memory: Option<Arc<dyn Memory>>) -> Self {
        Delivery { shared: Arc::new(DeliveryShared::new(log, memory)), items, missed: AtomicBool::new(false) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, DeliveryState> {
        self.shared.lock()
    }

    /// Whether the agent remembers across restarts. If so, a room's history must be read before the join: the
    /// messages on the page count as done, and must not also arrive live.
    pub(crate) fn remembers(&self) -> bool {
        self.shared.memory.is_some()
    }

    /// Whether the agent has joined the room, or is joining it.
    pub(crate) fn has_room(&self, room: &AgencyId) -> bool {
        self.lock().rooms.contains_key(room)
    }

    /// Whether the room continues from an earlier run or an earlier join.
    pub(crate) fn is_resumed(&self, room: &AgencyId) -> bool {
        self.lock().rooms.get(room).is_some_and(|room| room.cursor.is_resumed())
    }

    /// Forgets the room's position.
    pub(crate) fn forget(&self, room: &AgencyId) {
        self.lock().close_room(room);
    }

    /// Returns the number of rooms with a gap, and the number of gaps that could not be filled.
    pub(crate) fn gaps(&self) -> (usize, u64) {
        let state = self.lock();
        (state.rooms.values().filter(|room| room.gap.is_some()).count(), state.not_filled)
    }

    /// Queues an event that is not from the session. Wakes no thread.
    pub(crate) fn push(&self, event: Event) {
        self.lock().push(event, 0);
    }

    /// Returns the position after which messages in the room's history are new, and whether the room is a direct
    /// conversation.
    pub(crate) fn position(&self, room: &AgencyId) -> (HistoryPosition, bool) {
        let state = self.lock();
        state
            .rooms
            .get(room)
            .map_or((HistoryPosition::Unknown, false), |room| (room.cursor.since(), room.cursor.dm))
    }

    /// The time at which a waiting consumer must check again, because a gap is closed then.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lock().deadline
    }

    /// Takes the next ready event, if any. Also starts helpers for new gaps.
    pub(crate) fn take(&self, source: &DeliverySource<'_>) -> Option<Event> {
        let mut state = self.lock();
        let session = source.session;
        let event =
            state.next(&mut || self.items.take(), &mut |generation| session.report_broken_event(generation));
        if std::mem::take(&mut state.missed) {
            self.missed.store(true, Ordering::Release);
        }
        // Notifies only waiting helpers, because a notification is a system call even if no thread waits.
        let notify = state.waiting > 0;
        let more = event.is_some() && !state.ready.is_empty();
        for _ in 0..state.helpers_wanted() {
            let helper = fill::start(Arc::clone(&self.shared), source.client.clone(), session.waker());
            if let Err(error) = helper {
                state.helpers -= 1;
                state.give_up_jobs(&error);
            }
        }
        drop(state);
        if notify {
            self.shared.notify_helpers();
        }
        if more {
            // Wakes another thread for the other events, because this thread may handle its event for minutes.
            session.wake();
        }
        event
    }

    /// Whether the agent has missed events since the last call.
    pub(crate) fn take_missed(&self) -> bool {
        self.missed.load(Ordering::Acquire) && self.missed.swap(false, Ordering::AcqRel)
    }

    /// Closes the remaining gaps. Called when the session has ended and the queue is empty.
    pub(crate) fn end(&self) {
        self.stop();
        let mut state = self.lock();
        for room in state.rooms_with_gaps() {
            state.close_gap(&room, Some(Error::closed()));
        }
    }

    /// Tells the helpers to stop. Each helper stops when its current request ends.
    pub(crate) fn stop(&self) {
        self.shared.stop();
    }
}

/// Handles the events that come live.
impl DeliveryState {
    /// Returns the next event to hand out. `take` returns the next item of the queue. `next` calls `broken` for an
    /// event that is not JSON.
    pub(super) fn next(
        &mut self,
        take: &mut dyn FnMut() -> Option<Item>,
        broken: &mut dyn FnMut(u64),
    ) -> Option<Event> {
        loop {
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.expire();
            }
            if let Some((event, size)) = self.ready.pop_front() {
                self.ready_bytes -= size;
                return Some(event);
            }
            let Some(item) = take() else {
                self.emptied += 1;
                return None;
            };
            let event = match item {
                Item::Event(raw) => {
                    let (generation, size) = (raw.generation, raw.size());
                    match Event::from_raw(raw) {
                        Some(event) => self.deliver_or_hold(event, size),
                        None => {
                            // The server has sent invalid data. `broken` closes the connection.
                            broken(generation);
                            None
                        }
                    }
                }
                item => self.note_item(item),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    /// Handles an event in the order of arrival: returns the event, holds it in the room's gap, or drops it as known.
    fn deliver_or_hold(&mut self, event: Event, size: usize) -> Option<Event> {
        let room = match &event {
            Event::Message(message) => self.rooms.get_mut(&message.agency_id),
            Event::MessageEdited(edit) => match &edit.agency_id {
                Some(room) => self.rooms.get_mut(room),
                None => self.rooms.values_mut().find(|room| room.contains(edit)),
            },
            _ => None,
        };
        // The agent has not joined this room, so the room has no gap. No entry is added, because a server could
        // invent any number of rooms.
        let Some(room) = room else { return Some(event) };
        let Some(gap) = &mut room.gap else { return is_new(&mut room.cursor, &event).then_some(event) };
        if matches!(&event, Event::Message(message) if room.cursor.has_heard(&message.id)) {
            return None;
        }
        let (held, bytes) = (gap.held.len(), gap.held.bytes());
        gap.held.push(event, size);
        self.held += gap.held.len() - held;
        self.held_bytes += gap.held.bytes() - bytes;
        self.drop_excess();
        None
    }

    /// Handles an item that is not a server event.
    fn note_item(&mut self, item: Item) -> Option<Event> {
        self.missed |= matches!(item, Item::Restored | Item::Lagged { .. });
        match &item {
            Item::Connected { again: true, .. } => {
                for room in self.all_rooms() {
                    self.open_gap(&room, false);
                }
            }
            Item::Restored => {
                for room in self.rooms_with_gaps() {
                    self.open_gap(&room, true);
                }
            }
            Item::Lagged { .. } => {
                for room in self.all_rooms() {
                    let waits = self.rooms.get(&room).and_then(|room| room.gap.as_ref());
                    // A gap that has not ended stays open until the agent joins the room again.
                    if waits.is_none_or(|gap| gap.ended) {
                        self.open_gap(&room, true);
                    }
                }
            }
            Item::NotRestored { what, .. } => {
                let room = AgencyId::from(what.as_str());
                self.release(&room);
                self.close_room(&room);
                if let Some(event) = Event::decode(item) {
                    self.push(event, 0);
                }
                return None;
            }
            _ => {}
        }
        Event::decode(item)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
