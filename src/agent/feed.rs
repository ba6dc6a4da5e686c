//! What the loop sees: everything in order, no message twice, gaps filled from the rooms' history.
//!
//! A link that came back, or a queue that overflowed, leaves a gap. It is filled on the consumer's own thread, between
//! what came before it and what came after: messages of the new link are held until the history has been read.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasherDefault;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::backfill;
use crate::agent::event::Event;
use crate::agent::rooms::Rooms;
use crate::agent::track::{IdHasher, Since, Track};
use crate::client::Client;
use crate::error::Result;
use crate::model::{AgencyId, Message, MessageId, UserId};
use crate::socket::{Item, RawEvent, Session};

/// Long enough to read what is there, short enough not to be waiting.
const SOCKET_GLANCE: Duration = Duration::from_millis(2);

/// The same, however much is there.
const LONGEST_LOOK: Duration = Duration::from_millis(200);

/// A link that flaps for a month must not fill the memory, nor may a server that never lets the agent in again.
const MOST_HELD: usize = 10_000;
const MOST_HELD_BYTES: usize = 32 << 20;

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

type Tracks = HashMap<AgencyId, Track, BuildHasherDefault<IdHasher>>;

#[derive(Debug, Default)]
struct State {
    /// To be handed out before anything newer.
    ready: VecDeque<Event>,
    /// To be looked at before anything newer.
    backlog: VecDeque<Queued>,
    /// Messages of a link whose gap has not been filled yet.
    held: Held,
    /// The same of a link that was lost before that. Its successor's history has them too, among others between them.
    stale: Held,
    holding: bool,
}

/// Events that wait for a history. The oldest go first when there are too many: those are in it for sure.
#[derive(Debug, Default)]
struct Held {
    events: VecDeque<(Event, usize)>,
    bytes: usize,
}

impl Held {
    fn push(&mut self, event: Event, size: usize) {
        self.events.push_back((event, size));
        self.bytes += size;
        while self.events.len() > MOST_HELD || self.bytes > MOST_HELD_BYTES && self.events.len() > 1 {
            self.bytes -= self.events.pop_front().map_or(0, |(_, size)| size);
        }
    }

    fn append(&mut self, other: &mut Held) {
        for (event, size) in std::mem::take(other).events {
            self.push(event, size);
        }
    }
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
                let size = raw.size();
                // Decoded by each consumer for itself.
                let event = decode(raw, source)?;
                // The usual case, without a detour.
                if !self.busy.load(Ordering::Acquire) {
                    if is_new(&mut self.tracks(), &event) {
                        return Some(event);
                    }
                    return None;
                }
                Queued::Event(event, size)
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
    /// How large it was on the wire comes along.
    Event(Event, usize),
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
                for (event, size) in held.events.into_iter().rev() {
                    self.backlog.push_front(Queued::Event(event, size));
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
                self.stale.append(&mut self.held);
                self.holding |= again;
                self.ready.push_back(Event::Connected { attempt, recovered });
            }
            Queued::Item(item) => self.ready.extend(Event::decode(item)),
            Queued::Event(event @ (Event::Message(_) | Event::MessageEdited(_)), size) if self.holding => {
                self.held.push(event, size);
            }
            Queued::Event(event, _) => self.queue_if_new(&mut locked(tracks), event),
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
                    let track = tracks.entry(room).or_default();
                    // From the first one on that came live, all come live.
                    if let Some(first) = history.iter().position(|message| live.contains(&message.id)) {
                        self.put_between(history.split_off(first), &live, track);
                    }
                    let (news, edits) = track.sort_out(history, &since);
                    self.ready.extend(edits.into_iter().map(Event::MessageEdited));
                    self.ready.extend(news.into_iter().map(Event::Message));
                }
                // An agent that is being closed needs no history.
                Err(error) if error.is_closed() => {}
                Err(error) => {
                    log::info!("cannot fill the gap in {room}: {error}");
                    let here = |event: &Event| matches!(event, Event::Message(it) if it.agency_id == room);
                    let stale = std::mem::take(&mut self.stale.events).into_iter();
                    let (heard, others): (VecDeque<_>, VecDeque<_>) =
                        stale.partition(|(event, _)| here(event));
                    self.stale.events = others;
                    heard.into_iter().for_each(|(event, _)| self.queue_if_new(&mut tracks, event));
                    self.ready.push_back(Event::GapNotFilled { agency_id: room, error: Arc::new(error) });
                }
            }
        }
        self.stale = Held::default();
    }

    /// What has not come live although something after it has does not come any more: the server has shown messages in
    /// another order than it keeps them in, and the agent was let in between the two. It belongs before what is next.
    fn put_between(&mut self, history: Vec<Message>, live: &HashSet<MessageId>, track: &Track) {
        let mut unshown: Vec<Message> = Vec::new();
        for mut message in history {
            if !live.contains(&message.id) {
                if !track.knows(&message.id) {
                    message.replayed = true;
                    message.dm |= track.dm;
                    unshown.push(message);
                }
                continue;
            }
            if unshown.is_empty() {
                continue;
            }
            let is_it = |queued: &Queued| matches!(queued, Queued::Event(Event::Message(it), _) if it.id == message.id);
            let Some(at) = self.backlog.iter().position(is_it) else { continue };
            for message in unshown.drain(..).rev() {
                self.backlog.insert(at, Queued::Event(Event::Message(message), 0));
            }
        }
    }

    /// The histories hold what has come live meanwhile, too. That was not missed; what of it is still in the socket is
    /// read now.
    fn take_what_came_live(&mut self, source: &Source<'_>) -> HashSet<MessageId> {
        // A room that never falls silent must not keep us here.
        let end = Instant::now() + LONGEST_LOOK;
        let mut bytes = 0;
        while bytes < MOST_HELD_BYTES
            && Instant::now() < end
            && let Some(item) = source.session.next_item(Instant::now() + SOCKET_GLANCE)
        {
            match item {
                Item::Event(raw) => {
                    let size = raw.size();
                    bytes += size;
                    self.backlog.extend(decode(raw, source).map(|event| Queued::Event(event, size)));
                }
                item => self.backlog.push_back(Queued::Item(item)),
            }
        }
        let live = self.backlog.iter().filter_map(|queued| match queued {
            Queued::Event(Event::Message(message), _) => Some(message.id.clone()),
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
            // Not a room that was joined: there is no gap to fill in it, and a server can make up any number of them.
            None => true,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(room: &str, content: &str) -> Event {
        let message = serde_json::json!({
            "id": content, "agency_id": room, "content": content, "created_at": "2026-01-01T00:00:00.000Z",
        });
        Event::Message(serde_json::from_value(message).unwrap())
    }

    #[test]
    fn rooms_that_the_server_makes_up_are_not_kept() {
        let mut tracks = Tracks::default();
        tracks.insert("joined".into(), Track::default());
        for n in 0..1000 {
            assert!(is_new(&mut tracks, &message(&format!("room {n}"), "hello")));
        }
        assert!(is_new(&mut tracks, &message("joined", "hello")));
        assert_eq!(tracks.len(), 1);
    }

    #[test]
    fn what_the_server_has_not_shown_comes_between() {
        let bare = |id: &str| match message("joined", id) {
            Event::Message(message) => message,
            other => panic!("{other:?}"),
        };
        let mut track = Track::default();
        assert!(track.hear(&bare("m1")));
        let mut state = State::default();
        for id in ["m2", "m5"] {
            state.backlog.push_back(Queued::Event(message("elsewhere", "other"), 1));
            state.backlog.push_back(Queued::Event(message("joined", id), 1));
        }
        let history = ["m2", "m1", "m3", "m4", "m5", "m6"].map(bare).to_vec();
        state.put_between(history, &HashSet::from(["m2".into(), "m5".into()]), &track);
        let queued = state.backlog.iter().filter_map(|queued| match queued {
            Queued::Event(Event::Message(message), _) => Some((message.content.as_str(), message.replayed)),
            _ => None,
        });
        let expected =
            [("other", false), ("m2", false), ("other", false), ("m3", true), ("m4", true), ("m5", false)];
        // m6 is on its way.
        assert_eq!(queued.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_held_is_bounded_in_number_and_bytes() {
        let mut held = Held::default();
        (0..2 * MOST_HELD).for_each(|_| held.push(message("a", "x"), 1));
        assert_eq!((held.events.len(), held.bytes), (MOST_HELD, MOST_HELD));
        (0..10).for_each(|_| held.push(message("a", "x"), MOST_HELD_BYTES / 4));
        assert_eq!((held.events.len(), held.bytes), (4, MOST_HELD_BYTES));
        held.push(message("a", "x"), 10 * MOST_HELD_BYTES);
        assert_eq!(held.events.len(), 1, "one is kept, however large");
    }
}
