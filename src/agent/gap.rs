//! Filling a gap from the rooms' history, while what comes after it is held.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::backfill;
use crate::agent::event::Event;
use crate::agent::rooms::Rooms;
use crate::agent::track::{IdHasher, Ids, Since, Track};
use crate::deadline;
use crate::error::Error;
use crate::model::{AgencyId, Message};
use crate::rest::Client;
use crate::socket::{Item, RawEvent, Session, Taken};

/// Long enough to read what is there, short enough not to be waiting.
const SOCKET_GLANCE: Duration = Duration::from_millis(2);

/// The same, however much is there.
const LONGEST_LOOK: Duration = Duration::from_millis(200);

/// A link that flaps for a month must not fill the memory, nor may a server that never lets the agent in again.
const MOST_HELD: usize = 10_000;
const MOST_HELD_BYTES: usize = 32 << 20;
pub(super) type Tracks = HashMap<AgencyId, Track, BuildHasherDefault<IdHasher>>;

/// What is not handed out yet, in order.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// To be handed out before anything newer.
    pub(super) ready: VecDeque<Event>,
    /// To be looked at before anything newer.
    pub(super) backlog: VecDeque<Queued>,
    /// Which [turn](Taken::turn) the backlog has got to.
    pub(super) turn: u64,
    /// Behind something that another consumer has taken and not brought here yet.
    early: Vec<(u64, Queued)>,
    /// Messages of a link whose gap has not been filled yet.
    held: Held,
    /// The same of a link that was lost before that. Its successor's history has them too, among others between them.
    stale: Held,
    holding: bool,
}

/// Events that wait for a history. The oldest go first when there are too many: those are in it for sure.
#[derive(Debug, Default)]
struct Held {
    events: VecDeque<Queued>,
    bytes: usize,
}

impl Held {
    fn push(&mut self, event: Queued) {
        self.bytes += event.size();
        self.events.push_back(event);
        while self.events.len() > MOST_HELD || self.bytes > MOST_HELD_BYTES && self.events.len() > 1 {
            self.bytes -= self.events.pop_front().map_or(0, |first| first.size());
        }
    }

    fn append(&mut self, other: Held) {
        for event in other.events {
            self.push(event);
        }
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
pub(super) enum Queued {
    /// How large it was on the wire comes along.
    Event(Event, usize),
    /// An event that what came behind it has overtaken. It says nothing about what comes over the link that is up now.
    Late(Event),
    Item(Item),
}

impl Queued {
    fn size(&self) -> usize {
        match self {
            Queued::Event(_, size) => *size,
            Queued::Late(_) | Queued::Item(_) => 0,
        }
    }
}

/// `None` for an event that is no JSON at all: then the server is broken, and the link with it.
#[inline]
pub(super) fn decode(raw: RawEvent, source: &Source<'_>, place: &mut Option<Event>) {
    let generation = raw.generation;
    Event::from_raw(raw, place);
    if place.is_none() {
        source.session.report_broken_event(generation);
    }
}

impl Line {
    pub(super) fn is_busy(&self) -> bool {
        self.holding || !self.ready.is_empty() || !self.backlog.is_empty()
    }

    /// Puts it behind what it came behind. Consumers come here in any order, and a message that overtook the news of a
    /// gap would make it seem filled.
    pub(super) fn arrive(&mut self, turn: u64, queued: Queued) {
        let queued = match queued {
            Queued::Event(event, _) if turn < self.turn => {
                self.backlog.push_front(Queued::Late(event));
                return;
            }
            queued => queued,
        };
        // What is no event brings its turn along, before the events of that turn.
        let place = |(turn, queued): &(u64, Queued)| (*turn, !matches!(queued, Queued::Item(_)));
        let new = (turn, queued);
        let at = self.early.partition_point(|early| place(early) <= place(&new));
        self.early.insert(at, new);
        let mut due = 0;
        for (turn, queued) in &self.early {
            let from = if matches!(queued, Queued::Item(_)) { self.turn + 1 } else { self.turn };
            if *turn > from {
                break;
            }
            self.turn = self.turn.max(*turn);
            due += 1;
        }
        for (_, queued) in self.early.drain(..due) {
            self.backlog.push_back(queued);
        }
    }

    pub(super) fn accept(&mut self, queued: Queued, tracks: &Mutex<Tracks>, source: &Source<'_>) {
        match queued {
            Queued::Item(Item::Restored) => {
                self.holding = false;
                let mut held = std::mem::take(&mut self.held);
                while let Some(last) = held.events.pop_back() {
                    self.backlog.push_front(last);
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
                self.stale.append(std::mem::take(&mut self.held));
                self.holding |= again;
                self.ready.push_back(Event::Connected { attempt, recovered });
            }
            Queued::Item(item) => {
                if let Some(event) = Event::decode(item) {
                    self.ready.push_back(event);
                }
            }
            Queued::Event(Event::Message(_) | Event::MessageEdited(_), _) if self.holding => {
                self.held.push(queued);
            }
            Queued::Event(event, _) | Queued::Late(event) => self.queue_if_new(&mut locked(tracks), event),
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
                Ok(history) => self.take_history(history, &since, &live, tracks.entry(room).or_default()),
                // An agent that is being closed needs no history.
                Err(error) if error.is_closed() => {}
                Err(error) => self.leave_gap(room, error, &mut tracks),
            }
        }
        self.stale = Held::default();
    }

    fn take_history(&mut self, mut history: Vec<Message>, since: &Since, live: &Ids, track: &mut Track) {
        // From the first one on that came live, all come live.
        if let Some(first) = history.iter().position(|message| live.contains(&message.id)) {
            self.put_between(history.split_off(first), live, track);
        }
        let (news, edits) = track.sort_out(history, since);
        for edit in edits {
            self.ready.push_back(Event::MessageEdited(edit));
        }
        for message in news {
            self.ready.push_back(Event::Message(message));
        }
    }

    /// What was heard there over the link before has to do.
    fn leave_gap(&mut self, room: AgencyId, error: Error, tracks: &mut Tracks) {
        log::info!("cannot fill the gap in {room}: {error}");
        for _ in 0..self.stale.events.len() {
            match self.stale.events.pop_front() {
                Some(Queued::Event(Event::Message(message), _)) if message.agency_id == room => {
                    self.queue_if_new(tracks, Event::Message(message));
                }
                Some(other) => self.stale.events.push_back(other),
                None => {}
            }
        }
        self.ready.push_back(Event::GapNotFilled { agency_id: room, error: Arc::new(error) });
    }

    /// What has not come live although something after it has does not come any more: the server has shown messages in
    /// another order than it keeps them in, and the agent was let in between the two. It belongs before what is next.
    fn put_between(&mut self, history: Vec<Message>, live: &Ids, track: &Track) {
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
            // Once around.
            for _ in 0..self.backlog.len() {
                let Some(queued) = self.backlog.pop_front() else { break };
                if matches!(&queued, Queued::Event(Event::Message(it), _) if it.id == message.id) {
                    for message in std::mem::take(&mut unshown) {
                        self.backlog.push_back(Queued::Event(Event::Message(message), 0));
                    }
                }
                self.backlog.push_back(queued);
            }
        }
    }

    /// The histories hold what has come live meanwhile, too. That was not missed; what of it is still in the socket is
    /// read now.
    fn take_what_came_live(&mut self, source: &Source<'_>) -> Ids {
        // A room that never falls silent must not keep us here.
        let end = deadline::after(LONGEST_LOOK);
        let mut bytes = 0;
        while bytes < MOST_HELD_BYTES
            && Instant::now() < end
            && let Some(Taken { item, turn }) = source.session.next_item(deadline::after(SOCKET_GLANCE))
        {
            match item {
                Item::Event(raw) => {
                    let size = raw.size();
                    bytes += size;
                    let mut event = None;
                    decode(raw, source, &mut event);
                    if let Some(event) = event {
                        self.arrive(turn, Queued::Event(event, size));
                    }
                }
                item => self.arrive(turn, Queued::Item(item)),
            }
        }
        let mut live = Ids::default();
        for queued in &self.backlog {
            if let Queued::Event(Event::Message(message), _) = queued {
                live.insert(&message.id);
            }
        }
        live
    }
}

pub(super) fn locked(tracks: &Mutex<Tracks>) -> MutexGuard<'_, Tracks> {
    tracks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes what is about to be handed out. False if it has been already.
pub(super) fn is_new(tracks: &mut Tracks, event: &Event) -> bool {
    match event {
        Event::Message(message) => match tracks.get_mut(&message.agency_id) {
            Some(track) => track.hear(message),
            // Not a room that was joined: there is no gap to fill in it, and a server can make up any number of them.
            None => true,
        },
        Event::MessageEdited(edit) => {
            match &edit.agency_id {
                Some(room) => {
                    if let Some(track) = tracks.get_mut(room) {
                        track.hear_edit(edit);
                    }
                }
                None => {
                    for track in tracks.values_mut() {
                        track.hear_edit(edit);
                    }
                }
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
        let mut line = Line::default();
        for id in ["m2", "m5"] {
            line.backlog.push_back(Queued::Event(message("elsewhere", "other"), 1));
            line.backlog.push_back(Queued::Event(message("joined", id), 1));
        }
        let history = ["m2", "m1", "m3", "m4", "m5", "m6"].map(bare).to_vec();
        let mut live = Ids::default();
        ["m2", "m5"].into_iter().for_each(|id| live.insert(&id.into()));
        line.put_between(history, &live, &track);
        let queued = line.backlog.iter().filter_map(|queued| match queued {
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
        let event = |size| Queued::Event(message("a", "x"), size);
        (0..2 * MOST_HELD).for_each(|_| held.push(event(1)));
        assert_eq!((held.events.len(), held.bytes), (MOST_HELD, MOST_HELD));
        (0..10).for_each(|_| held.push(event(MOST_HELD_BYTES / 4)));
        assert_eq!((held.events.len(), held.bytes), (4, MOST_HELD_BYTES));
        held.push(event(10 * MOST_HELD_BYTES));
        assert_eq!(held.events.len(), 1, "one is kept, however large");
    }

    fn heard(text: &str) -> Queued {
        Queued::Event(message("a", text), 1)
    }

    fn order(line: &Line) -> Vec<String> {
        let name = |queued: &Queued| match queued {
            Queued::Event(Event::Message(message), _) => message.content.clone(),
            Queued::Late(Event::Message(message)) => format!("late {}", message.content),
            Queued::Event(..) | Queued::Late(_) => "event".to_owned(),
            Queued::Item(Item::Lagged { missed }) => format!("lagged {missed}"),
            Queued::Item(_) => "item".to_owned(),
        };
        line.backlog.iter().map(name).collect()
    }

    #[test]
    fn what_overtook_the_news_of_a_gap_waits_for_it() {
        let mut line = Line::default();
        line.arrive(0, heard("before"));
        // Taken in the order lagged 1, a, lagged 2, b, c; brought here by consumers of different speed.
        line.arrive(2, heard("b"));
        line.arrive(1, heard("a"));
        line.arrive(2, Queued::Item(Item::Lagged { missed: 2 }));
        line.arrive(2, heard("c"));
        assert_eq!(order(&line), ["before"]);
        line.arrive(1, Queued::Item(Item::Lagged { missed: 1 }));
        assert_eq!(order(&line), ["before", "lagged 1", "a", "lagged 2", "b", "c"]);
        assert!(line.early.is_empty() && line.turn == 2);
        line.arrive(1, heard("z"));
        assert_eq!(order(&line).first().unwrap(), "late z");
    }
}
