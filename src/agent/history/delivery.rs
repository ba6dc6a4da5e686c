//! Delivers events from the session's queue to the loops: each event once, in order, and no newer event before a gap
//! is filled.
//!
//! One rule ensures order and completeness: an event is taken from the queue *and* noted in its room's [`Cursor`] in
//! one step, under one lock. So a cursor covers all events that arrived before, whichever thread delivers them and
//! however long it takes.
//!
//! A reconnect or a full queue leaves a gap in every room. While a room has a gap, its messages and edits are held;
//! other events pass. [Helpers](super::fill) read the histories and hand the missed messages over. The lock is never
//! held during a request, and no user code runs under it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::event::Event;
use crate::agent::history::cursor::{Class, Cursor, Lookback, Progress, Since};
use crate::agent::history::gap::{Gap, size_of_message};
use crate::agent::history::unreadable::Unreadable;
use crate::agent::history::{fetch, fill};
use crate::agent::memory::Memory;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, List, Message, MessageEdited, MessageId, UserId};
use crate::rest::Client;
use crate::socket::{Item, LogQueue, Session, note};

/// How long reading a history may take before the held messages are released without it. Each page restarts the time.
pub(super) const BUDGET: Duration = Duration::from_secs(10);
/// The most histories that are read at once.
const MOST_AT_ONCE: usize = 8;
/// The most threads, including those whose requests have lasted longer than the budget.
const MOST_THREADS: usize = 32;
/// The most messages that all rooms together may hold.
const MOST_HELD: usize = 20_000;
const MOST_HELD_BYTES: usize = 16 << 20;
/// Beyond this, helpers wait for the consumers.
const MOST_READY_BYTES: usize = 4 << 20;
/// A room whose queue is full again and again during filling is released after this many rounds.
const MOST_ROUNDS: u32 = 4;

/// The sources of events and of missed messages.
pub(crate) struct Source<'a> {
    pub(crate) session: &'a Session,
    pub(crate) client: &'a Client,
}

/// Hands out the events of a session in order, with the missed ones between them. Dropping it stops the helpers.
#[derive(Debug)]
pub(crate) struct Delivery(Arc<Shared>, Option<Arc<Memory>>);

impl Drop for Delivery {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Counts a reader of a room's start position.
struct BaselineReader<'a> {
    delivery: &'a Delivery,
    session: &'a Session,
    room: &'a AgencyId,
}

impl Drop for BaselineReader<'_> {
    fn drop(&mut self) {
        let mut state = self.delivery.lock();
        let Some(room) = state.rooms.get_mut(self.room) else { return };
        room.readers = room.readers.saturating_sub(1);
        if room.gap.as_ref().is_some_and(|gap| gap.ended && !gap.filling) {
            state.ask_for_helper(self.room);
            drop(state);
            // A thread that takes events starts the helper.
            self.session.nudge_reader();
        }
    }
}

/// The state that consumers and helpers share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) log: LogQueue,
    /// Notified when `ready` has space, and when the helpers must stop.
    space: Condvar,
    /// Something was missed, which may be more than messages.
    missed: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// Events to hand out before those in the queue.
    ready: VecDeque<(Event, usize)>,
    ready_bytes: usize,
    rooms: HashMap<AgencyId, Room>,
    /// Rooms whose gaps wait for a helper.
    jobs: VecDeque<AgencyId>,
    /// The running helpers, and those of them whose gap was closed meanwhile.
    helpers: usize,
    late: usize,
    /// The helpers that wait for space.
    waiting: usize,
    /// The earliest deadline of a gap.
    deadline: Option<Instant>,
    next_gap: u64,
    held: usize,
    held_bytes: usize,
    stopped: bool,
    missed: bool,
    /// How many gaps could not be filled.
    not_filled: u64,
    log: LogQueue,
    /// The memory across restarts, if the agent remembers.
    memory: Option<Arc<Memory>>,
}

#[derive(Debug, Default)]
struct Room {
    cursor: Cursor,
    gap: Option<Gap>,
    /// Threads that read where its story begins, and whether one has found out. A gap is filled after that.
    readers: usize,
    has_baseline: bool,
}

/// A gap for a helper to fill.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) room: AgencyId,
    pub(super) gap: u64,
    pub(super) dm: bool,
    pub(super) lookback: Result<Lookback>,
}

/// The gap was closed meanwhile: the helper's result is not needed.
#[derive(Debug)]
pub(super) struct Late;

impl Delivery {
    pub(crate) fn new(log: LogQueue, memory: Option<Arc<Memory>>) -> Self {
        let state = State {
            ready: VecDeque::new(),
            ready_bytes: 0,
            rooms: HashMap::new(),
            jobs: VecDeque::new(),
            helpers: 0,
            late: 0,
            waiting: 0,
            deadline: None,
            next_gap: 0,
            held: 0,
            held_bytes: 0,
            stopped: false,
            missed: false,
            not_filled: 0,
            log: log.clone(),
            memory: memory.clone(),
        };
        let missed = AtomicBool::new(false);
        Delivery(Arc::new(Shared { state: Mutex::new(state), log, space: Condvar::new(), missed }), memory)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Whether the agent remembers across restarts. Then a room's history must be read before the join: the messages on the
    /// page count as done, and must not arrive live as well.
    pub(crate) fn remembers(&self) -> bool {
        self.1.is_some()
    }

    /// Adds a room that is about to be joined: from now on every gap counts. Returns `true` if the start position in its
    /// history must be [read](Delivery::read_baseline).
    pub(crate) fn make_place(&self, room: &AgencyId, dm: bool) -> bool {
        let resume = self.1.as_ref().and_then(|memory| memory.resume(room));
        let mut state = self.lock();
        let is_new = !state.rooms.contains_key(room);
        if is_new && let Some(resume) = resume {
            let mut cursor = Cursor::new(dm || resume.dm);
            cursor.resume(&resume.settled, resume.since);
            // The gap since the program ended. The join ends it.
            let gap = state.new_gap();
            state.rooms.insert(room.clone(), Room { gap: Some(gap), ..Room::new(cursor) });
            return false;
        }
        let entry = state.rooms.entry(room.clone()).or_insert_with(|| Room::new(Cursor::new(dm)));
        let wanted = is_new || entry.readers > 0 && !entry.has_baseline;
        entry.readers += usize::from(wanted);
        wanted
    }

    /// Reads the start position in the room's history, before or during the join. A message on the page is from before the
    /// end of both, or it also arrives live.
    ///
    /// A room with an unreadable history can still be joined. An error is reported when there is a gap to fill.
    pub(crate) fn read_baseline(&self, source: &Source<'_>, room: &AgencyId, dm: bool) {
        // Dropped in any case, so that no gap waits for this reader.
        let _reader = BaselineReader { delivery: self, session: source.session, room };
        let mut dm = dm;
        let Ok(page) = fetch::first_page(source.client, room, &mut dm) else { return };
        let mut state = self.lock();
        let Some(known) = state.rooms.get_mut(room).filter(|room| !room.has_baseline) else { return };
        known.has_baseline = true;
        known.cursor.dm = dm;
        known.cursor.begin_after(&page.messages, page.is_whole);
        let from_before = known.cursor.unreadable(&page.messages, None, &Lookback::default());
        known.cursor.note_reported(&from_before);
        if let Some(memory) = &self.1 {
            memory.begin(room, &page.messages, page.is_whole, dm);
        }
    }

    /// After the join: reads the start position if that failed before, because some histories are only for members. Ends
    /// the gap of a room that continues from an earlier run of the program.
    pub(crate) fn complete_baseline(&self, source: &Source<'_>, room: &AgencyId, dm: bool) {
        {
            let mut state = self.lock();
            let Some(known) = state.rooms.get_mut(room) else { return };
            if known.cursor.is_resumed() && known.gap.as_ref().is_some_and(|gap| !gap.ended) {
                state.open_gap(room, true);
                return;
            }
            if known.cursor.has_begun() {
                return;
            }
            known.readers += 1;
        }
        self.read_baseline(source, room, dm);
    }

    /// Notes that nothing was heard in a conversation that another user has started, before it is joined. Live
    /// messages are held until [`begin`](Delivery::begin).
    pub(crate) fn expect_from_the_beginning(&self, room: &AgencyId) {
        if self.1.as_ref().is_some_and(|memory| memory.resume(room).is_some()) {
            return;
        }
        let mut cursor = Cursor::new(true);
        cursor.begin_after(&[], true);
        let mut state = self.lock();
        let gap = state.new_gap();
        state.rooms.entry(room.clone()).or_insert(Room { gap: Some(gap), ..Room::new(cursor) });
    }

    /// Hands out the messages of such a conversation from before the join: those on the last page that are newer than
    /// the agent's own last message.
    pub(crate) fn begin(&self, client: &Client, room: &AgencyId, me: &UserId) {
        let gap = |state: &State| {
            let room = state.rooms.get(room).filter(|room| !room.cursor.is_resumed())?;
            room.gap.as_ref().map(|gap| gap.id)
        };
        let Some(gap) = gap(&self.lock()) else { return };
        let mut dm = true;
        let outcome = fetch::first_page(client, room, &mut dm).map(|page| {
            let unheard = page.messages.iter().take_while(|message| message.sender_id != *me).count();
            let unreadable = {
                let mut state = self.lock();
                let Some(room) = state.rooms.get_mut(room) else { return false };
                let mut unreadable = room.cursor.unreadable(&page.messages, None, &Lookback::default());
                room.cursor.note_reported(&unreadable);
                unreadable.retain(|element| element.place <= unheard);
                unreadable.len()
            };
            let mut messages = page.messages.into_vec();
            let before = messages.split_off(unheard);
            messages.reverse();
            if let Some(memory) = &self.1 {
                memory.begin(room, &before, page.is_whole, dm);
            }
            let mut state = self.lock();
            if let Some(room) = state.rooms.get_mut(room) {
                room.cursor.begin_after(&before, page.is_whole);
            }
            if unreadable > 0 {
                state.report(room, cannot_be_read(unreadable));
            }
            state.hand_over(room, gap, messages).is_ok()
        });
        let mut state = self.lock();
        if let Some(Room { gap: Some(gap), .. }) = state.rooms.get_mut(room) {
            gap.ended = true;
        }
        state.finish(room, gap, outcome.err());
    }

    /// Forgets the room's position.
    pub(crate) fn forget(&self, room: &AgencyId) {
        self.lock().close_room(room);
    }

    /// How many rooms have a gap, and how many gaps could not be filled.
    pub(crate) fn gaps(&self) -> (usize, u64) {
        let state = self.lock();
        (state.rooms.values().filter(|room| room.gap.is_some()).count(), state.not_filled)
    }

    /// Queues an event that is not from the session. Wakes no thread.
    pub(crate) fn push(&self, event: Event) {
        self.lock().push(event, 0);
    }

    /// The position after which messages in the room's history are new, and whether it is a direct conversation.
    pub(crate) fn position(&self, room: &AgencyId) -> (Since, bool) {
        let state = self.lock();
        state.rooms.get(room).map_or((Since::Unknown, false), |room| (room.cursor.since(), room.cursor.dm))
    }

    /// When a waiting consumer must check again, because a gap is closed then.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lock().deadline
    }

    /// The next event that is ready, if there is one.
    pub(crate) fn take(&self, source: &Source<'_>) -> Option<Event> {
        let mut state = self.lock();
        let session = source.session;
        let event =
            state.next(&mut || session.take(), &mut |generation| session.report_broken_event(generation));
        if std::mem::take(&mut state.missed) {
            self.0.missed.store(true, Ordering::Release);
        }
        let more = event.is_some() && !state.ready.is_empty();
        // A notification is a system call, even if nobody waits.
        let wake = state.waiting > 0;
        for _ in 0..state.helpers_wanted() {
            let helper = fill::start(Arc::clone(&self.0), source.client.clone(), source.session.waker());
            if let Err(error) = helper {
                state.helpers -= 1;
                state.give_up_jobs(&error);
            }
        }
        drop(state);
        if wake {
            self.0.space.notify_all();
        }
        if more {
            // The other events are for other threads: this thread may handle its event for minutes.
            source.session.nudge();
        }
        event
    }

    /// Whether something was missed since the last call.
    pub(crate) fn take_missed(&self) -> bool {
        self.0.missed.load(Ordering::Acquire) && self.0.missed.swap(false, Ordering::AcqRel)
    }

    /// The session has ended and the queue is empty: closes the remaining gaps.
    pub(crate) fn end(&self) {
        self.stop();
        let mut state = self.lock();
        for room in state.rooms_with_gaps() {
            state.close_gap(&room, Some(Error::closed()));
        }
    }

    /// Stops the helpers when their requests end.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.0.space.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next gap to fill. `None` ends the helper.
    pub(super) fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        let job = state.next_job();
        if job.is_none() {
            state.helpers -= 1;
        }
        job
    }

    /// The missed and edited messages of a page of the room's history, newest first.
    pub(super) fn sort_out(
        &self,
        job: &Job,
        page: Vec<Message>,
        lookback: &Lookback,
    ) -> Result<(Vec<Message>, Progress), Late> {
        let mut state = self.lock();
        if let Some(memory) = &state.memory {
            // Newest first: an answer is noted before its question is handed out.
            page.iter().for_each(|message| memory.note_answer(message));
        }
        let room = state.filled(&job.room, job.gap)?;
        if let Some(gap) = &mut room.gap {
            gap.held.note_page(&page);
        }
        Ok(room.cursor.sort_out(page, lookback))
    }

    /// The unreadable elements of a page of the room's history that were not reported.
    pub(super) fn unreadable(
        &self,
        job: &Job,
        page: &List<Message>,
        above: Option<&MessageId>,
        lookback: &Lookback,
    ) -> Result<Vec<Unreadable>, Late> {
        if page.skipped() == 0 {
            return Ok(Vec::new());
        }
        Ok(self.lock().filled(&job.room, job.gap)?.cursor.unreadable(page, above, lookback))
    }

    /// The elements are going to be reported.
    pub(super) fn note_reported(&self, job: &Job, elements: &[Unreadable]) -> Result<(), Late> {
        self.lock().filled(&job.room, job.gap)?.cursor.note_reported(elements);
        Ok(())
    }

    /// Queues missed messages, oldest first, before other events. Waits until consumers have taken earlier ones.
    pub(super) fn hand_over(&self, job: &Job, messages: Vec<Message>) -> Result<(), Late> {
        let mut state = self.lock();
        while state.ready_bytes > MOST_READY_BYTES {
            state.filled(&job.room, job.gap)?;
            state.extend(&job.room);
            state = self.wait(state, BUDGET / 4);
        }
        state.hand_over(&job.room, job.gap, messages)?;
        state.extend(&job.room);
        Ok(())
    }

    /// Reports a missing part to the consumers before the remaining messages.
    pub(super) fn report(&self, job: &Job, error: Error) -> Result<(), Late> {
        let mut state = self.lock();
        state.filled(&job.room, job.gap)?;
        state.report(&job.room, error);
        Ok(())
    }

    pub(super) fn learn_place(&self, job: &Job, dm: bool) {
        if let Some(room) = self.lock().rooms.get_mut(&job.room) {
            room.cursor.dm = dm;
        }
    }

    /// The helper has finished this gap.
    pub(super) fn finish(&self, job: &Job, error: Option<Error>) {
        let mut state = self.lock();
        match state.filled(&job.room, job.gap) {
            Ok(_) => state.finish(&job.room, job.gap, error),
            Err(Late) => state.late = state.late.saturating_sub(1),
        }
    }

    /// A helper has ended without asking for its next job.
    pub(super) fn helper_is_gone(&self) {
        self.lock().helpers -= 1;
    }

    /// Pauses, unless the helpers must stop. `false` if continuing is useless.
    pub(super) fn pause(&self, job: &Job, time: Duration) -> bool {
        let end = deadline::after(time);
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(room) = state.filled(&job.room, job.gap) else { return false };
            let deadline = room.gap.as_ref().and_then(|gap| gap.deadline);
            if left.is_zero() {
                return true;
            }
            if deadline.is_some_and(|deadline| deadline <= end) {
                return false;
            }
            state = self.wait(state, left);
        }
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        state.waiting += 1;
        let (mut state, _) = self.space.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state
    }
}

impl State {
    /// `take` returns the next item of the queue. `broken` is called for an event that is not JSON.
    fn next(&mut self, take: &mut dyn FnMut() -> Option<Item>, broken: &mut dyn FnMut(u64)) -> Option<Event> {
        loop {
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.expire();
            }
            if let Some((event, size)) = self.ready.pop_front() {
                self.ready_bytes -= size;
                return Some(event);
            }
            let item = take()?;
            let event = match item {
                Item::Event(raw) => {
                    let (generation, size) = (raw.generation, raw.size());
                    match Event::from_raw(raw) {
                        Some(event) => self.pass(event, size),
                        None => {
                            // The server is broken; the connection is closed.
                            broken(generation);
                            None
                        }
                    }
                }
                item => self.note(item),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    /// An event in the order of arrival: it is handed out, held, or known already.
    fn pass(&mut self, event: Event, size: usize) -> Option<Event> {
        let room = match &event {
            Event::Message(message) => self.rooms.get_mut(&message.agency_id),
            Event::MessageEdited(edit) => match &edit.agency_id {
                Some(room) => self.rooms.get_mut(room),
                None => self.rooms.values_mut().find(|room| room.contains(edit)),
            },
            _ => None,
        };
        // The room was not joined: it has no gap, and a server could invent any number of rooms.
        let Some(room) = room else { return Some(event) };
        let Some(gap) = &mut room.gap else { return is_new(&mut room.cursor, &event).then_some(event) };
        if matches!(&event, Event::Message(message) if room.cursor.has_heard(&message.id)) {
            return None;
        }
        let (held, bytes) = (gap.held.len(), gap.held.bytes());
        gap.held.push(event, size);
        self.held += gap.held.len() - held;
        self.held_bytes += gap.held.bytes() - bytes;
        self.shed();
        None
    }

    /// Drops held messages beyond the limit. They are in the history, which must be read to its end again.
    fn shed(&mut self) {
        while self.held > MOST_HELD || self.held_bytes > MOST_HELD_BYTES && self.held > 1 {
            let gaps = self.rooms.values_mut().filter_map(|room| room.gap.as_mut());
            let Some(largest) = gaps.max_by_key(|gap| (gap.held.bytes(), gap.held.len())) else { return };
            let Some((_, size)) = largest.held.pop() else { return };
            largest.again = true;
            self.held -= 1;
            self.held_bytes -= size;
        }
    }

    /// An item that is not a server event.
    fn note(&mut self, item: Item) -> Option<Event> {
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
                    // The end of that gap is still to come.
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

    fn all_rooms(&self) -> Vec<AgencyId> {
        self.rooms.keys().cloned().collect()
    }

    fn rooms_with_gaps(&self) -> Vec<AgencyId> {
        let gaps = self.rooms.iter().filter(|(_, room)| room.gap.is_some());
        gaps.map(|(id, _)| id.clone()).collect()
    }

    fn new_gap(&mut self) -> Gap {
        self.next_gap += 1;
        Gap::new(self.next_gap)
    }

    /// Messages were missed in the room. `ended`: no more will be, so the history can be read.
    fn open_gap(&mut self, id: &AgencyId, ended: bool) {
        let new = self.new_gap();
        let Some(room) = self.rooms.get_mut(id) else { return };
        let gap = room.gap.get_or_insert(new);
        gap.ended = ended;
        gap.held.note_loss();
        if !ended {
            gap.deadline = None;
            gap.again |= gap.filling;
        } else if gap.filling {
            gap.again = true;
            gap.deadline = Some(deadline::after(BUDGET));
        } else {
            gap.deadline = Some(deadline::after(BUDGET));
            self.ask_for_helper(id);
        }
        self.find_deadline();
    }

    /// The room's gap is to be filled, once it is known where the room's story begins.
    fn ask_for_helper(&mut self, id: &AgencyId) {
        let waits = self.rooms.get(id).is_some_and(|room| room.readers > 0 && !room.has_baseline);
        if !waits && !self.jobs.contains(id) {
            self.jobs.push_back(id.clone());
        }
    }

    fn find_deadline(&mut self) {
        let gaps = self.rooms.values().filter_map(|room| room.gap.as_ref());
        self.deadline = gaps.filter_map(|gap| gap.deadline).min();
    }

    /// How many helpers to start. They count as running.
    fn helpers_wanted(&mut self) -> usize {
        if self.jobs.is_empty() || self.stopped {
            return 0;
        }
        let at_work = self.helpers.saturating_sub(self.late);
        let free = MOST_AT_ONCE.saturating_sub(at_work).min(MOST_THREADS.saturating_sub(self.helpers));
        // A running helper takes another job when it is done, so only waiting jobs count.
        let wanted = free.min(self.jobs.len());
        self.helpers += wanted;
        wanted
    }

    fn next_job(&mut self) -> Option<Job> {
        if self.stopped {
            return None;
        }
        loop {
            let id = self.jobs.pop_front()?;
            let Some(room) = self.rooms.get_mut(&id) else { continue };
            let Some(gap) = room.gap.as_mut().filter(|gap| gap.ended && !gap.filling) else { continue };
            gap.filling = true;
            gap.again = false;
            gap.rounds += 1;
            let lookback = if room.cursor.has_begun() {
                Ok(room.cursor.lookback())
            } else {
                let text = "the room's history could not be read when it was joined";
                Err(Error::new(ErrorKind::Forbidden, text))
            };
            return Some(Job { gap: gap.id, dm: room.cursor.dm, room: id, lookback });
        }
    }

    fn give_up_jobs(&mut self, error: &std::io::Error) {
        while self.helpers == 0
            && let Some(room) = self.jobs.pop_front()
        {
            let text = format!("cannot start a thread to read the room's history: {error}");
            self.close_gap(&room, Some(Error::new(ErrorKind::Connect, text)));
        }
    }

    /// The room, if this gap is still open.
    fn filled(&mut self, id: &AgencyId, gap: u64) -> Result<&mut Room, Late> {
        if self.stopped {
            return Err(Late);
        }
        let room = self.rooms.get_mut(id).ok_or(Late)?;
        if room.gap.as_ref().is_some_and(|open| open.id == gap) { Ok(room) } else { Err(Late) }
    }

    /// There was progress: the history gets more time.
    fn extend(&mut self, id: &AgencyId) {
        if let Some(Room { gap: Some(gap), .. }) = self.rooms.get_mut(id)
            && gap.ended
        {
            gap.deadline = Some(deadline::after(BUDGET));
        }
        self.find_deadline();
    }

    /// Hands over a part of the history, oldest first, merged with held live messages.
    fn hand_over(&mut self, id: &AgencyId, gap: u64, messages: Vec<Message>) -> Result<(), Late> {
        for mut message in messages {
            let Room { cursor, gap, .. } = self.filled(id, gap)?;
            let mut due = Vec::new();
            let (mut held, mut held_bytes) = (0, 0);
            if let Some(gap) = gap {
                while (gap.held.contains(&message.id) || gap.held.is_due_before(&message))
                    && let Some((event, size)) = gap.held.pop()
                {
                    held += 1;
                    held_bytes += size;
                    if is_new(cursor, &event) {
                        due.push((event, size));
                    }
                }
            }
            let size = size_of_message(&message);
            match cursor.classify(&message, None, &Lookback::default()) {
                Class::Missed => {
                    message.replayed = true;
                    // Live messages have this field; it is not known whether messages of a history have it.
                    message.dm |= cursor.dm;
                    cursor.hear(&message);
                    due.push((Event::Message(message), size));
                }
                Class::Edited => {
                    let edit = MessageEdited::of(&message);
                    cursor.hear_edit(&edit);
                    due.push((Event::MessageEdited(edit), size));
                }
                Class::Heard | Class::Old | Class::Unsure => {}
            }
            self.held -= held;
            self.held_bytes -= held_bytes;
            for (event, size) in due {
                self.push(event, size);
            }
        }
        Ok(())
    }

    /// The history was read, or cannot be read.
    fn finish(&mut self, id: &AgencyId, gap: u64, error: Option<Error>) {
        let Ok(room) = self.filled(id, gap) else { return };
        let Some(gap) = &mut room.gap else { return };
        gap.filling = false;
        if !gap.ended {
            // The connection was lost again: the missing messages are read after the reconnect.
            return;
        }
        if gap.again && gap.rounds < MOST_ROUNDS && error.is_none() {
            self.open_gap(id, true);
            return;
        }
        let error = error.or_else(|| {
            gap.again.then(|| Error::new(ErrorKind::Server, "more is said in the room than can be read"))
        });
        self.close_gap(id, error);
    }

    fn expire(&mut self) {
        let now = Instant::now();
        for id in self.rooms_with_gaps() {
            let gap = self.rooms.get(&id).and_then(|room| room.gap.as_ref());
            if gap.and_then(|gap| gap.deadline).is_some_and(|deadline| deadline <= now) {
                let text = format!("the room's history did not come within {BUDGET:?}");
                self.close_gap(&id, Some(Error::timeout(text)));
            }
        }
        self.find_deadline();
    }

    /// Releases the held messages, after a report about missing ones if there are any.
    fn close_gap(&mut self, id: &AgencyId, error: Option<Error>) {
        let is_filled = error.is_none();
        if let Some(error) = error {
            self.report(id, error);
        }
        if is_filled && let Some(memory) = &self.memory {
            memory.pin(id, false);
        }
        self.release(id);
        self.find_deadline();
    }

    fn report(&mut self, id: &AgencyId, error: Error) {
        self.not_filled += 1;
        if let Some(memory) = &self.memory {
            // The next start looks for them again.
            memory.pin(id, true);
        }
        if !error.is_closed() {
            note!(self.log, Warn, "cannot fill the gap in {id}: {error}");
        }
        self.push(Event::GapNotFilled { agency_id: id.clone(), error: Arc::new(error) }, 0);
    }

    fn release(&mut self, id: &AgencyId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        let Some(mut gap) = room.gap.take() else { return };
        room.cursor.end_resume();
        self.late += usize::from(gap.filling);
        self.held -= gap.held.len();
        self.held_bytes -= gap.held.bytes();
        while let Some((event, size)) = gap.held.pop() {
            if is_new(&mut room.cursor, &event) {
                self.ready_bytes += size;
                self.ready.push_back((event, size));
            }
        }
    }

    fn close_room(&mut self, id: &AgencyId) {
        if let Some(Room { gap: Some(gap), .. }) = self.rooms.remove(id) {
            self.late += usize::from(gap.filling);
            self.held -= gap.held.len();
            self.held_bytes -= gap.held.bytes();
            self.find_deadline();
        }
    }

    fn push(&mut self, event: Event, size: usize) {
        self.ready_bytes += size;
        self.ready.push_back((event, size));
    }
}

impl Room {
    fn new(cursor: Cursor) -> Self {
        Room { cursor, ..Room::default() }
    }

    /// Whether the edit is of a message in this room.
    fn contains(&self, edit: &MessageEdited) -> bool {
        let held = self.gap.as_ref().is_some_and(|gap| gap.held.contains(&edit.message_id));
        held || self.cursor.knows(&edit.message_id)
    }
}

/// Some messages of a history cannot be decoded.
pub(super) fn cannot_be_read(count: usize) -> Error {
    let messages = if count == 1 { "message" } else { "messages" };
    Error::new(ErrorKind::Protocol, format!("{count} {messages} of the room's history cannot be read"))
}

/// Notes an event that is about to be handed out. `false` if it was handed out before.
fn is_new(cursor: &mut Cursor, event: &Event) -> bool {
    match event {
        Event::Message(message) => cursor.hear(message),
        Event::MessageEdited(edit) => {
            cursor.hear_edit(edit);
            true
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::socket::RawEvent;

    fn json(id: &str) -> serde_json::Value {
        serde_json::json!({
            "id": id, "agency_id": "a", "content": id, "created_at": "2026-01-01T12:00:00.000Z",
        })
    }

    fn message(id: &str) -> Message {
        serde_json::from_value(json(id)).unwrap()
    }

    fn event(id: &str) -> Item {
        let frame = tungstenite::Utf8Bytes::from(format!("[\"message\",{}]", json(id)));
        Item::Event(RawEvent::new(&frame, frame.as_str(), None, Vec::new()).unwrap())
    }

    fn connected() -> Item {
        Item::Connected { attempt: 1, recovered: false, again: true }
    }

    /// A delivery with one room, from the start of its history.
    fn delivery() -> Delivery {
        let delivery = Delivery::new(LogQueue::new("@test"), None);
        let mut cursor = Cursor::new(false);
        cursor.begin_after(&[], true);
        delivery.lock().rooms.insert("a".into(), Room::new(cursor));
        delivery
    }

    /// The ids of all messages that are handed out.
    fn take_all(delivery: &Delivery, queue: &mut VecDeque<Item>) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some(event) = delivery.lock().next(&mut || queue.pop_front(), &mut |_| {}) {
            if let Event::Message(message) = event {
                ids.push(message.id.to_string());
            }
        }
        ids
    }

    #[test]
    fn what_a_held_up_consumer_has_taken_is_heard_before_anything_behind_it() {
        let delivery = delivery();
        let queue = Mutex::new(VecDeque::from([event("m1"), connected(), Item::Restored, event("m3")]));
        let (taken, is_taken) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let slow = scope.spawn(|| {
                let may_go_on = may_go_on;
                let mut take = || {
                    let item = queue.lock().unwrap().pop_front();
                    taken.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    item
                };
                delivery.lock().next(&mut take, &mut |_| {})
            });
            // One consumer has taken the first message and not handled it.
            is_taken.recv().unwrap();
            let (told, tells) = mpsc::channel();
            let quick = scope.spawn(|| {
                let told = told;
                let ids = take_all(&delivery, &mut queue.lock().unwrap());
                told.send(()).unwrap();
                ids
            });
            assert!(tells.recv_timeout(Duration::from_millis(50)).is_err(), "it must not overtake");
            go_on.send(()).unwrap();
            let Some(Event::Message(first)) = slow.join().unwrap() else { panic!("no message") };
            assert_eq!(first.id, "m1");
            assert_eq!(quick.join().unwrap(), Vec::<String>::new(), "m3 waits for the history");
        });
        // The gap starts after the message of the slow consumer.
        delivery.lock().helpers = 1;
        let job = delivery.0.next_job().unwrap();
        let lookback = job.lookback.as_ref().unwrap().clone();
        let page = ["m3", "m2", "m1"].map(message).to_vec();
        let (missed, _) = delivery.0.sort_out(&job, page, &lookback).unwrap();
        assert_eq!(missed.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), ["m3", "m2"]);
        delivery.0.hand_over(&job, missed.into_iter().rev().collect()).unwrap();
        delivery.0.finish(&job, None);
        assert_eq!(take_all(&delivery, &mut VecDeque::new()), ["m2", "m3"]);
    }

    #[test]
    fn a_history_and_what_came_live_make_one_story() {
        // All ways to divide ten messages into live ones and those that are only in the history, page by page.
        for live in 0..1_u32 << 10 {
            let is_live = |n: u32| live & 1 << n != 0;
            let delivery = delivery();
            let mut queue: VecDeque<Item> = [connected(), Item::Restored].into();
            queue.extend((0..10).filter(|n| is_live(*n)).map(|n| event(&n.to_string())));
            // Twice.
            queue.extend((0..10).filter(|n| is_live(*n)).map(|n| event(&n.to_string())));
            assert!(take_all(&delivery, &mut queue).is_empty());
            delivery.lock().helpers = 1;
            let job = delivery.0.next_job().unwrap();
            let page = 1 + live as usize % 4;
            // The last message is not in the history yet.
            let history: Vec<_> = (0..8).map(|n| message(&n.to_string())).collect();
            for part in history.chunks(page) {
                delivery.0.hand_over(&job, part.to_vec()).unwrap();
            }
            delivery.0.finish(&job, None);
            let heard = take_all(&delivery, &mut VecDeque::new());
            let expected: Vec<_> = (0..10).filter(|n| *n < 8 || is_live(*n)).map(|n| n.to_string()).collect();
            assert_eq!(heard, expected, "{live:b}");
            let state = delivery.lock();
            assert_eq!((state.held, state.held_bytes, state.ready_bytes), (0, 0, 0));
        }
    }

    /// It came live between two losses, and then it was deleted, or cannot be read in the history.
    #[test]
    fn a_held_message_without_a_place_in_the_history_keeps_its_place() {
        let at = |id: &str, second: u32| {
            let mut json = json(id);
            json["created_at"] = format!("2026-01-01T12:00:{second:02}.000Z").into();
            json
        };
        let live = |id: &str, second| {
            let frame = tungstenite::Utf8Bytes::from(format!("[\"message\",{}]", at(id, second)));
            Item::Event(RawEvent::new(&frame, frame.as_str(), None, Vec::new()).unwrap())
        };
        let delivery = delivery();
        let mut queue: VecDeque<Item> = [
            connected(),
            Item::Restored,
            live("m2", 2),
            connected(),
            Item::Restored,
            // Behind the history, by a clock that is slow.
            live("m4", 0),
        ]
        .into();
        assert!(take_all(&delivery, &mut queue).is_empty());
        delivery.lock().helpers = 1;
        let job = delivery.0.next_job().unwrap();
        let lookback = job.lookback.as_ref().unwrap().clone();
        let page = [at("m3", 3), at("m1", 1)].map(|json| serde_json::from_value(json).unwrap()).to_vec();
        let (missed, _) = delivery.0.sort_out(&job, page, &lookback).unwrap();
        delivery.0.hand_over(&job, missed.into_iter().rev().collect()).unwrap();
        delivery.0.finish(&job, None);
        assert_eq!(take_all(&delivery, &mut VecDeque::new()), ["m1", "m2", "m3", "m4"]);
    }

    #[test]
    fn a_gap_that_takes_too_long_is_reported_and_its_room_released() {
        let delivery = delivery();
        let mut queue: VecDeque<Item> = [connected(), Item::Restored, event("m2")].into();
        assert!(take_all(&delivery, &mut queue).is_empty());
        delivery.lock().helpers = 1;
        let job = delivery.0.next_job().unwrap();
        if let Some(gap) = delivery.lock().rooms.get_mut("a").and_then(|room| room.gap.as_mut()) {
            gap.deadline = Some(Instant::now());
        }
        delivery.lock().find_deadline();
        let mut events = Vec::new();
        while let Some(event) = delivery.lock().next(&mut || None, &mut |_| {}) {
            events.push(event);
        }
        assert!(matches!(&*events, [Event::GapNotFilled { .. }, Event::Message(_)]), "{events:?}");
        // A helper that is too late changes nothing.
        assert!(delivery.0.hand_over(&job, vec![message("m1")]).is_err());
        delivery.0.finish(&job, None);
        assert_eq!(delivery.lock().late, 0);
        assert!(take_all(&delivery, &mut VecDeque::new()).is_empty());
    }

    #[test]
    fn rooms_that_the_server_makes_up_are_not_kept() {
        let delivery = delivery();
        let mut queue: VecDeque<Item> = (0..1000)
            .map(|n| {
                let text = format!("[\"message\",{}]", json("m")).replace("\"a\"", &format!("\"room {n}\""));
                let frame = tungstenite::Utf8Bytes::from(text);
                Item::Event(RawEvent::new(&frame, frame.as_str(), None, Vec::new()).unwrap())
            })
            .collect();
        assert_eq!(take_all(&delivery, &mut queue).len(), 1000);
        assert_eq!(delivery.lock().rooms.len(), 1);
    }

    #[test]
    fn what_is_held_is_bounded_and_what_goes_is_read_again() {
        let delivery = delivery();
        let mut queue: VecDeque<Item> = [connected(), Item::Restored].into();
        queue.extend((0..MOST_HELD + 10).map(|n| event(&format!("m{n}"))));
        assert!(take_all(&delivery, &mut queue).is_empty());
        let state = delivery.lock();
        assert_eq!(state.held, MOST_HELD);
        assert!(state.held_bytes <= MOST_HELD_BYTES);
        let gap = state.rooms["a"].gap.as_ref().unwrap();
        assert!(gap.again, "the history is read to its end");
    }

    #[test]
    fn a_gap_waits_until_it_is_known_where_the_story_begins() {
        let delivery = delivery();
        assert!(delivery.make_place(&"b".into(), false));
        assert!(delivery.make_place(&"b".into(), false), "each of two that join at once has to know");
        let mut queue: VecDeque<Item> = [connected(), Item::Restored].into();
        assert!(take_all(&delivery, &mut queue).is_empty());
        let mut state = delivery.lock();
        assert_eq!(state.jobs, ["a"].map(AgencyId::from));
        let room = state.rooms.get_mut("b").unwrap();
        room.cursor.begin_after(&[], true);
        room.has_baseline = true;
        state.ask_for_helper(&"b".into());
        assert_eq!(state.jobs, ["a", "b"].map(AgencyId::from));
        drop(state);
        assert!(!delivery.make_place(&"b".into(), false));
    }
}
