//! What the loop sees: everything in order, no message twice, gaps filled from the rooms' history.
//!
//! A link that came back, or a queue that overflowed, leaves a gap. It is filled on the consumer's own thread, between
//! what came before it and what came after: messages of the new link are held until the history has been read.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::agent::backfill;
use crate::agent::event::Event;
use crate::agent::rooms::Rooms;
use crate::agent::track::{Since, Track};
use crate::client::Client;
use crate::error::Result;
use crate::model::AgencyId;
use crate::socket::Item;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// To be handed out before anything newer.
    ready: VecDeque<Event>,
    /// Messages of a link whose gap has not been filled yet.
    held: Vec<Event>,
    holding: bool,
    rooms: HashMap<AgencyId, Track>,
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where the room's story begins, before it is joined.
    pub(crate) fn before_join(&self, client: &Client, room: &AgencyId, dm: bool) {
        if self.lock().rooms.contains_key(room) {
            return;
        }
        let mut track = Track::new(dm);
        // A room whose history is closed can be joined all the same. It shows when there is a gap to fill.
        if let Ok(newest) = backfill::newest(client, room, &mut track.dm) {
            track.starts_at(newest.as_ref());
        }
        self.lock().rooms.entry(room.clone()).or_insert(track);
    }

    /// The same once it is joined, for a room whose history only members may read.
    pub(crate) fn after_join(&self, client: &Client, room: &AgencyId, dm: bool) {
        let known = self.lock().rooms.get(room).is_some_and(|track| !matches!(track.since(), Since::Unknown));
        if !known {
            self.lock().rooms.remove(room);
            self.before_join(client, room, dm);
        }
    }

    /// From where on the room's history is news, and where that history is.
    pub(crate) fn position(&self, room: &AgencyId) -> (Since, bool) {
        let state = self.lock();
        match state.rooms.get(room) {
            Some(track) => (track.since(), track.dm),
            None => (Since::Unknown, false),
        }
    }

    /// Something that is due already.
    pub(crate) fn take_ready(&self) -> Option<Event> {
        self.lock().ready.pop_front()
    }

    /// What becomes of an item: an event to hand out now, or nothing (yet).
    ///
    /// # Errors
    /// `Err(())` when the item is no JSON.
    pub(crate) fn accept(
        &self,
        item: Item,
        client: &Client,
        rooms: &Rooms,
    ) -> Result<Option<Event>, NotJson> {
        // Everything goes through in turn: a second consumer waits while the first one fills a gap.
        let mut state = self.lock();
        match item {
            Item::Restored => {
                state.holding = false;
                state.fill(client, rooms);
                let held = std::mem::take(&mut state.held);
                for event in held {
                    state.queue_if_new(event);
                }
            }
            Item::Lagged { missed } => {
                state.ready.push_back(Event::Lagged { missed });
                if !state.holding {
                    state.fill(client, rooms);
                }
            }
            Item::Connected { attempt, recovered, again } => {
                state.holding |= again;
                state.ready.push_back(Event::Connected { attempt, recovered });
            }
            other => {
                let event = Event::decode(other).ok_or(NotJson)?;
                match &event {
                    Event::Message(_) | Event::MessageEdited(_) if state.holding => state.held.push(event),
                    // The usual case, without a detour.
                    _ if state.ready.is_empty() => return Ok(state.is_new(&event).then_some(event)),
                    _ => state.queue_if_new(event),
                }
            }
        }
        Ok(state.ready.pop_front())
    }
}

/// An event turned out to be no JSON at all.
#[derive(Debug)]
pub(crate) struct NotJson;

impl State {
    fn is_new(&mut self, event: &Event) -> bool {
        match event {
            Event::Message(message) => match self.rooms.get_mut(&message.agency_id) {
                Some(track) => track.hear(message),
                None => self.rooms.entry(message.agency_id.clone()).or_default().hear(message),
            },
            Event::MessageEdited(edit) => {
                match &edit.agency_id {
                    Some(room) => {
                        self.rooms.get_mut(room).into_iter().for_each(|track| track.hear_edit(edit))
                    }
                    None => self.rooms.values_mut().for_each(|track| track.hear_edit(edit)),
                }
                true
            }
            _ => true,
        }
    }

    fn queue_if_new(&mut self, event: Event) {
        if self.is_new(&event) {
            self.ready.push_back(event);
        }
    }

    /// Fills the gap in every joined room.
    fn fill(&mut self, client: &Client, rooms: &Rooms) {
        for room in rooms.all() {
            let track = self.rooms.entry(room.clone()).or_default();
            let since = track.since();
            match backfill::since(client, &room, &mut track.dm, &since) {
                Ok(history) => {
                    let (news, edits) = track.sort_out(history, &since);
                    self.ready.extend(edits.into_iter().map(Event::MessageEdited));
                    self.ready.extend(news.into_iter().map(Event::Message));
                }
                // An agent that is being closed needs no history.
                Err(error) if error.is_closed() => {}
                Err(error) => {
                    log::info!("cannot fill the gap in {room}: {error}");
                    self.ready.push_back(Event::GapNotFilled { agency_id: room, error: Arc::new(error) });
                }
            }
        }
    }
}
