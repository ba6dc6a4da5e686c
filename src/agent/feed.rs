//! What the loop sees: everything in order, no message twice, gaps filled from the rooms' history.
//!
//! A link that came back, or a queue that overflowed, leaves a gap. It is filled on the consumer's own thread, between
//! what came before it and what came after: messages of the new link are held until the history has been read.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::backfill;
use crate::agent::event::Event;
use crate::agent::rooms::Rooms;
use crate::agent::track::{Since, Track};
use crate::client::Client;
use crate::error::Result;
use crate::model::{AgencyId, MessageId, UserId};
use crate::socket::{Item, RawEvent, Session};

/// Long enough to read what is there, short enough not to be waiting.
const SOCKET_GLANCE: Duration = Duration::from_millis(2);

/// The same, however much is there.
const LONGEST_LOOK: Duration = Duration::from_millis(200);

/// A link that flaps for a month must not fill the memory.
const MOST_HELD: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Held by a consumer, also while it fills a gap: the others wait for that.
    line: Mutex<State>,
    /// Whether anything waits in the line or is being held: if not, events pass it by.
    busy: AtomicBool,
    /// Held for moments only. Taken after `line`, never before.
    tracks: Mutex<Tracks>,
}

type Tracks = HashMap<AgencyId, Track>;

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
}

impl Feed {
    fn line(&self) -> InLine<'_> {
        let state = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        InLine { state, busy: &self.busy }
    }

    fn tracks(&self) -> MutexGuard<'_, Tracks> {
        locked(&self.tracks)
    }

    /// Notes where the room's story begins, before it is joined.
    pub(crate) fn before_join(&self, client: &Client, room: &AgencyId, dm: bool) {
        if self.tracks().contains_key(room) {
            return;
        }
        let mut track = Track::new(dm);
        // A room whose history is closed can be joined all the same. It shows when there is a gap to fill.
        if let Ok(newest) = backfill::newest(client, room, &mut track.dm) {
            track.starts_at(newest.as_ref());
        }
        self.tracks().entry(room.clone()).or_insert(track);
    }

    /// The same once it is joined, for a room whose history only members may read.
    pub(crate) fn after_join(&self, client: &Client, room: &AgencyId, dm: bool) {
        if matches!(self.position(room).0, Since::Unknown) {
            self.tracks().remove(room);
            self.before_join(client, room, dm);
        }
    }

    /// Notes that nothing was ever heard in a conversation that somebody else has begun, before it is joined.
    pub(crate) fn expect_from_the_beginning(&self, room: &AgencyId) {
        let mut track = Track::new(true);
        track.starts_at(None);
        self.tracks().entry(room.clone()).or_insert(track);
    }

    /// What was said in such a conversation before it was joined, to be handed out before anything newer: all of it up
    /// to the agent's own last word there, of the last page.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) fn begin(&self, client: &Client, room: &AgencyId, me: &UserId) -> Result<()> {
        let mut dm = true;
        let page = backfill::page(client, room, &mut dm, None, backfill::PAGE)?;
        let mut unheard: Vec<_> = page.into_iter().take_while(|message| message.sender_id != *me).collect();
        unheard.reverse();
        let mut line = self.line();
        let (news, _) = self.tracks().entry(room.clone()).or_default().sort_out(unheard, &Since::Beginning);
        line.ready.extend(news.into_iter().map(Event::Message));
        Ok(())
    }

    /// The room's story ends here.
    pub(crate) fn forget(&self, room: &AgencyId) {
        self.tracks().remove(room);
    }

    /// Something that did not come from the session, to be handed out next. Wakes nobody.
    pub(crate) fn push(&self, event: Event) {
        self.line().ready.push_back(event);
    }

    /// From where on the room's history is news, and where that history is.
    pub(crate) fn position(&self, room: &AgencyId) -> (Since, bool) {
        self.tracks().get(room).map_or((Since::Unknown, false), |track| (track.since(), track.dm))
    }

    /// Something that is due already.
    pub(crate) fn take_ready(&self, source: &Source<'_>) -> Option<Event> {
        if !self.busy.load(Ordering::Acquire) {
            return None;
        }
        let mut line = self.line();
        loop {
            if let Some(event) = line.ready.pop_front() {
                return Some(event);
            }
            let queued = line.backlog.pop_front()?;
            line.accept(queued, &self.tracks, source);
        }
    }

    /// What becomes of an item: an event to hand out now, or nothing (yet).
    #[inline]
    pub(crate) fn accept(&self, item: Item, source: &Source<'_>) -> Option<Event> {
        let queued = match item {
            Item::Event(raw) => {
                // Decoded by each consumer for itself.
                let event = decode(raw, source)?;
                // The usual case, without a detour.
                if !self.busy.load(Ordering::Acquire) {
                    return is_new(&mut self.tracks(), &event).then_some(event);
                }
                Queued::Event(event)
            }
            item => Queued::Item(item),
        };
        // Everything goes through in turn: a second consumer waits while the first one fills a gap.
        self.line().backlog.push_back(queued);
        self.take_ready(source)
    }
}

/// The line, locked. Says whether it is busy when it is let go.
struct InLine<'a> {
    state: MutexGuard<'a, State>,
    busy: &'a AtomicBool,
}

impl Deref for InLine<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for InLine<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.busy.store(self.state.is_busy(), Ordering::Release);
    }
}

/// Where missed messages come from.
pub(crate) struct Source<'a> {
    pub(crate) session: &'a Session,
    pub(crate) client: &'a Client,
    pub(crate) rooms: &'a Rooms,
}

/// Taken from the session, not yet looked at.
#[derive(Debug)]
enum Queued {
    Event(Event),
    Item(Item),
}

/// `None` for an event that is no JSON at all: then the server is broken, and the link with it.
#[inline]
fn decode(raw: RawEvent, source: &Source<'_>) -> Option<Event> {
    let generation = raw.generation;
    let event = Event::from_raw(raw);
    if event.is_none() {
        source.session.report_broken_event(generation);
    }
    event
}

impl State {
    fn is_busy(&self) -> bool {
        self.holding || !self.ready.is_empty() || !self.backlog.is_empty()
    }

    fn accept(&mut self, queued: Queued, tracks: &Mutex<Tracks>, source: &Source<'_>) {
        match queued {
            Queued::Item(Item::Restored) => {
                self.holding = false;
                let held = std::mem::take(&mut self.held);
                for event in held.into_iter().rev() {
                    self.backlog.push_front(Queued::Event(event));
                }
                self.fill(tracks, source);
            }
            Queued::Item(Item::Lagged { missed }) => {
                self.ready.push_back(Event::Lagged { missed });
                if !self.holding {
                    self.fill(tracks, source);
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
            Queued::Event(event) => self.queue_if_new(&mut locked(tracks), event),
        }
    }

    fn queue_if_new(&mut self, tracks: &mut Tracks, event: Event) {
        if is_new(tracks, &event) {
            self.ready.push_back(event);
        }
    }

    /// Fills the gap in every joined room.
    fn fill(&mut self, tracks: &Mutex<Tracks>, source: &Source<'_>) {
        let mut histories = Vec::new();
        for room in source.rooms.all() {
            let (since, mut dm) = {
                let mut tracks = locked(tracks);
                let track = tracks.entry(room.clone()).or_default();
                (track.since(), track.dm)
            };
            let history = backfill::patiently(source.session, || {
                backfill::since(source.client, &room, &mut dm, &since)
            });
            if history.as_ref().is_err_and(backfill::is_passing) && source.session.will_return() {
                // The link is lost again. Nothing newer is handed out before the next one has been restored.
                self.holding = true;
                return;
            }
            if let Some(track) = locked(tracks).get_mut(&room) {
                track.dm = dm;
            }
            histories.push((room, since, history));
        }
        let live = self.take_what_came_live(source);
        let mut tracks = locked(tracks);
        for (room, since, history) in histories {
            match history {
                Ok(mut history) => {
                    // From the first one on that came live, all come live.
                    if let Some(first) = history.iter().position(|message| live.contains(&message.id)) {
                        history.truncate(first);
                    }
                    let (news, edits) = tracks.entry(room).or_default().sort_out(history, &since);
                    self.ready.extend(edits.into_iter().map(Event::MessageEdited));
                    self.ready.extend(news.into_iter().map(Event::Message));
                }
                // An agent that is being closed needs no history.
                Err(error) if error.is_closed() => {}
                Err(error) => {
                    log::info!("cannot fill the gap in {room}: {error}");
                    let here =
                        |event: &mut Event| matches!(event, Event::Message(it) if it.agency_id == room);
                    let heard: Vec<Event> = self.stale.extract_if(.., here).collect();
                    heard.into_iter().for_each(|event| self.queue_if_new(&mut tracks, event));
                    self.ready.push_back(Event::GapNotFilled { agency_id: room, error: Arc::new(error) });
                }
            }
        }
        self.stale.clear();
    }

    /// The histories hold what has come live meanwhile, too. That was not missed; what of it is still in the socket is
    /// read now.
    fn take_what_came_live(&mut self, source: &Source<'_>) -> HashSet<MessageId> {
        // A room that never falls silent must not keep us here.
        let end = Instant::now() + LONGEST_LOOK;
        while Instant::now() < end
            && let Some(item) = source.session.next_item(Instant::now() + SOCKET_GLANCE)
        {
            match item {
                Item::Event(raw) => self.backlog.extend(decode(raw, source).map(Queued::Event)),
                item => self.backlog.push_back(Queued::Item(item)),
            }
        }
        let live = self.backlog.iter().filter_map(|queued| match queued {
            Queued::Event(Event::Message(message)) => Some(message.id.clone()),
            _ => None,
        });
        live.collect()
    }
}

fn locked(tracks: &Mutex<Tracks>) -> MutexGuard<'_, Tracks> {
    tracks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes what is about to be handed out. False if it has been already.
fn is_new(tracks: &mut Tracks, event: &Event) -> bool {
    match event {
        Event::Message(message) => match tracks.get_mut(&message.agency_id) {
            Some(track) => track.hear(message),
            None => tracks.entry(message.agency_id.clone()).or_default().hear(message),
        },
        Event::MessageEdited(edit) => {
            match &edit.agency_id {
                Some(room) => tracks.get_mut(room).into_iter().for_each(|track| track.hear_edit(edit)),
                None => tracks.values_mut().for_each(|track| track.hear_edit(edit)),
            }
            true
        }
        _ => true,
    }
}
