//! What the loop sees: everything in order, no message twice, gaps filled from the rooms' history.
//!
//! A link that came back, or a queue that overflowed, leaves a gap. It is filled on the consumer's own thread, between
//! what came before it and what came after: messages of the new link are held until the history has been read.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::backfill;
use crate::agent::event::Event;
use crate::agent::rooms::Rooms;
use crate::agent::track::{Since, Track};
use crate::client::Client;
use crate::error::Result;
use crate::model::{AgencyId, MessageId};
use crate::socket::{Item, Next, Session};

/// Long enough to read what is there, short enough not to be waiting.
const SOCKET_GLANCE: Duration = Duration::from_millis(2);

/// A link that flaps for a month must not fill the memory.
const MOST_HELD: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// To be handed out before anything newer.
    ready: VecDeque<Event>,
    /// To be looked at before anything newer.
    backlog: VecDeque<Queued>,
    /// Messages of a link whose gap has not been filled yet.
    held: VecDeque<Event>,
    /// The same of a link that was lost before that. Its successor's history has them too, among others between them.
    stale: Vec<Event>,
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
    ///
    /// # Errors
    /// As [`accept`](Feed::accept).
    pub(crate) fn take_ready(&self, source: &Source<'_>) -> Result<Option<Event>, NotJson> {
        let mut state = self.lock();
        loop {
            if let Some(event) = state.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(queued) = state.backlog.pop_front() else { return Ok(None) };
            state.accept(queued, source)?;
        }
    }

    /// What becomes of an item: an event to hand out now, or nothing (yet).
    ///
    /// # Errors
    /// When the item is no JSON.
    pub(crate) fn accept(&self, item: Item, source: &Source<'_>) -> Result<Option<Event>, NotJson> {
        // Everything goes through in turn: a second consumer waits while the first one fills a gap.
        let mut state = self.lock();
        if let Item::Event(raw) = item {
            let event = Event::from_raw(raw).ok_or(NotJson)?;
            // The usual case, without a detour.
            if state.ready.is_empty() && state.backlog.is_empty() && !state.holding {
                return Ok(state.is_new(&event).then_some(event));
            }
            state.backlog.push_back(Queued::Event(event));
        } else {
            state.backlog.push_back(Queued::Item(item));
        }
        drop(state);
        self.take_ready(source)
    }
}

/// Where missed messages come from.
pub(crate) struct Source<'a> {
    pub(crate) session: &'a Session,
    pub(crate) client: &'a Client,
    pub(crate) rooms: &'a Rooms,
}

/// An event turned out to be no JSON at all.
#[derive(Debug)]
pub(crate) struct NotJson;

/// Taken from the session, not yet looked at.
#[derive(Debug)]
enum Queued {
    Event(Event),
    Item(Item),
}

impl State {
    fn accept(&mut self, queued: Queued, source: &Source<'_>) -> Result<(), NotJson> {
        match queued {
            Queued::Item(Item::Restored) => {
                self.holding = false;
                let held = std::mem::take(&mut self.held);
                for event in held.into_iter().rev() {
                    self.backlog.push_front(Queued::Event(event));
                }
                self.fill(source)?;
            }
            Queued::Item(Item::Lagged { missed }) => {
                self.ready.push_back(Event::Lagged { missed });
                if !self.holding {
                    self.fill(source)?;
                }
            }
            Queued::Item(Item::Connected { attempt, recovered, again }) => {
                self.stale.extend(self.held.drain(..));
                let surplus = self.stale.len().saturating_sub(MOST_HELD);
                self.stale.drain(..surplus);
                self.holding |= again;
                self.ready.push_back(Event::Connected { attempt, recovered });
            }
            Queued::Item(item) => self.ready.extend(Event::decode(item)),
            Queued::Event(event @ (Event::Message(_) | Event::MessageEdited(_))) if self.holding => {
                // The oldest are in the history as well.
                if self.held.len() >= MOST_HELD {
                    self.held.pop_front();
                }
                self.held.push_back(event);
            }
            Queued::Event(event) => self.queue_if_new(event),
        }
        Ok(())
    }

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
    fn fill(&mut self, source: &Source<'_>) -> Result<(), NotJson> {
        let mut histories = Vec::new();
        for room in source.rooms.all() {
            let track = self.rooms.entry(room.clone()).or_default();
            let since = track.since();
            let history = backfill::patiently(source.session, || {
                backfill::since(source.client, &room, &mut track.dm, &since)
            });
            if history.as_ref().is_err_and(backfill::is_passing) && source.session.will_return() {
                // The link is lost again. Nothing newer is handed out before the next one has been restored.
                self.holding = true;
                return Ok(());
            }
            histories.push((room, since, history));
        }
        // The histories hold what has come live meanwhile, too. That was not missed; what of it is still in the socket
        // is read now.
        while let Next::Item(item) = source.session.next(Some(Instant::now() + SOCKET_GLANCE)) {
            self.backlog.push_back(match item {
                Item::Event(raw) => Queued::Event(Event::from_raw(raw).ok_or(NotJson)?),
                item => Queued::Item(item),
            });
        }
        let live: HashSet<MessageId> = self
            .backlog
            .iter()
            .filter_map(|queued| match queued {
                Queued::Event(Event::Message(message)) => Some(message.id.clone()),
                _ => None,
            })
            .collect();
        for (room, since, history) in histories {
            match history {
                Ok(mut history) => {
                    // From the first one on that came live, all come live.
                    if let Some(first) = history.iter().position(|message| live.contains(&message.id)) {
                        history.truncate(first);
                    }
                    let track = self.rooms.entry(room).or_default();
                    let (news, edits) = track.sort_out(history, &since);
                    self.ready.extend(edits.into_iter().map(Event::MessageEdited));
                    self.ready.extend(news.into_iter().map(Event::Message));
                }
                // An agent that is being closed needs no history.
                Err(error) if error.is_closed() => {}
                Err(error) => {
                    log::info!("cannot fill the gap in {room}: {error}");
                    let (here, elsewhere) = self.stale.drain(..).partition(|event| match event {
                        Event::Message(message) => message.agency_id == room,
                        _ => false,
                    });
                    self.stale = elsewhere;
                    let here: Vec<Event> = here;
                    here.into_iter().for_each(|event| self.queue_if_new(event));
                    self.ready.push_back(Event::GapNotFilled { agency_id: room, error: Arc::new(error) });
                }
            }
        }
        self.stale.clear();
        Ok(())
    }
}
