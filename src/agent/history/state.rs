//! The state of a [delivery](super::delivery): the ready events, the rooms' cursors and the rooms' gaps. This
//! module opens, fills and closes the gaps.
//!
//! One lock protects the state. The methods send no request and call no code of the program.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent::event::Event;
use crate::agent::history::cursor::{Class, HistoryCursor, Lookback};
use crate::agent::history::gap::{Gap, size_of_message};
use crate::agent::history::room::RoomHistory;
use crate::agent::memory::Memory;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, Message, MessageEdited};
use crate::socket::{SessionLog, note};

/// How long reading a history may take. After this time, the delivery releases the held messages without the missed
/// messages. Each page restarts the time.
pub(super) const BUDGET: Duration = Duration::from_secs(10);
/// The largest number of histories that helpers read at once.
const MAX_AT_ONCE: usize = 8;
/// The largest number of helper threads, including threads whose requests have taken longer than `BUDGET`.
const MAX_THREADS: usize = 32;
/// The largest number of messages that all rooms together may hold.
pub(super) const MAX_HELD: usize = 20_000;
pub(super) const MAX_HELD_BYTES: usize = 16 << 20;
/// If the agent misses messages again and again while a helper fills a gap, the delivery releases the room after this
/// many rounds.
const MAX_ROUNDS: u32 = 4;

/// The events that are ready, the rooms, and the work of the helpers.
#[derive(Debug)]
pub(super) struct DeliveryState {
    /// The events to hand out before the events in the session's queue.
    pub(super) ready: VecDeque<(Event, usize)>,
    pub(super) ready_bytes: usize,
    pub(super) rooms: HashMap<AgencyId, RoomHistory>,
    /// Rooms whose gaps wait for a helper.
    pub(super) jobs: VecDeque<AgencyId>,
    /// The number of running helpers, and the number of helpers whose gap was closed meanwhile.
    pub(super) helpers: usize,
    pub(super) abandoned: usize,
    /// The number of threads that wait on `DeliveryShared::progress`.
    pub(super) waiting: usize,
    /// How often a consumer found the queue empty.
    pub(super) emptied: u64,
    /// The earliest deadline of a gap.
    pub(super) deadline: Option<Instant>,
    pub(super) next_gap: u64,
    pub(super) held: usize,
    pub(super) held_bytes: usize,
    pub(super) stopped: bool,
    pub(super) missed: bool,
    /// The number of reports about messages that could not be read.
    pub(super) not_filled: u64,
    pub(super) log: SessionLog,
    /// The memory across restarts, if the agent remembers.
    pub(super) memory: Option<Arc<dyn Memory>>,
}

/// A gap for a helper to fill.
#[derive(Debug)]
pub(super) struct FillJob {
    pub(super) room: AgencyId,
    pub(super) gap: u64,
    pub(super) dm: bool,
    pub(super) lookback: Result<Lookback>,
}

/// The gap was closed meanwhile, so the helper's result is not needed.
#[derive(Debug)]
pub(super) struct GapClosed;

impl DeliveryState {
    pub(super) fn new(log: SessionLog, memory: Option<Arc<dyn Memory>>) -> Self {
        DeliveryState {
            ready: VecDeque::new(),
            ready_bytes: 0,
            rooms: HashMap::new(),
            jobs: VecDeque::new(),
            helpers: 0,
            abandoned: 0,
            waiting: 0,
            emptied: 0,
            deadline: None,
            next_gap: 0,
            held: 0,
            held_bytes: 0,
            stopped: false,
            missed: false,
            not_filled: 0,
            log,
            memory,
        }
    }

    /// Drops held messages beyond the limit. The history has these messages, so a helper reads the history again.
    pub(super) fn drop_excess(&mut self) {
        while self.held > MAX_HELD || self.held_bytes > MAX_HELD_BYTES && self.held > 1 {
            let gaps = self.rooms.values_mut().filter_map(|room| room.gap.as_mut());
            let Some(largest) = gaps.max_by_key(|gap| (gap.held.bytes(), gap.held.len())) else { return };
            let Some((_, size)) = largest.held.pop() else { return };
            largest.again = true;
            self.held -= 1;
            self.held_bytes -= size;
        }
    }

    pub(super) fn all_rooms(&self) -> Vec<AgencyId> {
        self.rooms.keys().cloned().collect()
    }

    pub(super) fn rooms_with_gaps(&self) -> Vec<AgencyId> {
        let gaps = self.rooms.iter().filter(|(_, room)| room.gap.is_some());
        gaps.map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn new_gap(&mut self) -> Gap {
        self.next_gap += 1;
        Gap::new(self.next_gap)
    }

    /// Notes that the agent has missed messages in the room. `ended`: live messages are complete again, so a helper can
    /// read the history.
    pub(super) fn open_gap(&mut self, id: &AgencyId, ended: bool) {
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

    /// Queues the room's gap for a helper, unless a thread is still reading the room's baseline.
    pub(super) fn ask_for_helper(&mut self, id: &AgencyId) {
        let waits = self.rooms.get(id).is_some_and(RoomHistory::waits_for_baseline);
        if !waits && !self.jobs.contains(id) {
            self.jobs.push_back(id.clone());
        }
    }

    pub(super) fn find_deadline(&mut self) {
        let gaps = self.rooms.values().filter_map(|room| room.gap.as_ref());
        self.deadline = gaps.filter_map(|gap| gap.deadline).min();
    }

    /// Returns the number of helpers to start, and counts these helpers as running.
    pub(super) fn helpers_wanted(&mut self) -> usize {
        if self.jobs.is_empty() || self.stopped {
            return 0;
        }
        let at_work = self.helpers.saturating_sub(self.abandoned);
        let free = MAX_AT_ONCE.saturating_sub(at_work).min(MAX_THREADS.saturating_sub(self.helpers));
        // A running helper has already taken its job from `jobs`, so only the waiting jobs need helpers.
        let wanted = free.min(self.jobs.len());
        self.helpers += wanted;
        wanted
    }

    pub(super) fn next_job(&mut self) -> Option<FillJob> {
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
            return Some(FillJob { gap: gap.id, dm: room.cursor.dm, room: id, lookback });
        }
    }

    pub(super) fn give_up_jobs(&mut self, error: &std::io::Error) {
        while self.helpers == 0
            && let Some(room) = self.jobs.pop_front()
        {
            let text = format!("cannot start a thread to read the room's history: {error}");
            self.close_gap(&room, Some(Error::new(ErrorKind::Connect, text)));
        }
    }

    /// Returns the room if this gap is still open.
    pub(super) fn room_with_gap(&mut self, id: &AgencyId, gap: u64) -> Result<&mut RoomHistory, GapClosed> {
        if self.stopped {
            return Err(GapClosed);
        }
        let room = self.rooms.get_mut(id).ok_or(GapClosed)?;
        if room.gap.as_ref().is_some_and(|open| open.id == gap) { Ok(room) } else { Err(GapClosed) }
    }

    /// Restarts the time limit of the gap after progress.
    pub(super) fn extend(&mut self, id: &AgencyId) {
        if let Some(RoomHistory { gap: Some(gap), .. }) = self.rooms.get_mut(id)
            && gap.ended
        {
            gap.deadline = Some(deadline::after(BUDGET));
        }
        self.find_deadline();
    }

    /// Merges a part of the history, oldest first, with the held live messages, and queues the result.
    pub(super) fn merge(&mut self, id: &AgencyId, gap: u64, messages: Vec<Message>) -> Result<(), GapClosed> {
        for mut message in messages {
            let RoomHistory { cursor, gap, .. } = self.room_with_gap(id, gap)?;
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
                    // Live messages have this field. Messages of a history may lack the field.
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

    /// Ends one reading of the history. `error`: the history could not be read.
    pub(super) fn finish(&mut self, id: &AgencyId, gap: u64, error: Option<Error>) {
        let Ok(room) = self.room_with_gap(id, gap) else { return };
        let Some(gap) = &mut room.gap else { return };
        gap.filling = false;
        if !gap.ended {
            // The connection was lost again. A helper reads the missing messages after the reconnect.
            return;
        }
        if gap.again && gap.rounds < MAX_ROUNDS && error.is_none() {
            self.open_gap(id, true);
            return;
        }
        let error = error.or_else(|| {
            gap.again.then(|| Error::new(ErrorKind::Server, "the room gets more messages than can be read"))
        });
        self.close_gap(id, error);
    }

    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        for id in self.rooms_with_gaps() {
            let gap = self.rooms.get(&id).and_then(|room| room.gap.as_ref());
            if gap.and_then(|gap| gap.deadline).is_some_and(|deadline| deadline <= now) {
                let text = format!("the server did not send the room's history within {BUDGET:?}");
                self.close_gap(&id, Some(Error::timeout(text)));
            }
        }
        self.find_deadline();
    }

    /// Closes the gap and releases the held messages. If `error` is given, reports the missing messages first.
    pub(super) fn close_gap(&mut self, id: &AgencyId, error: Option<Error>) {
        let is_filled = error.is_none();
        if let Some(error) = error {
            self.report(id, error);
        }
        if is_filled && let Some(memory) = &self.memory {
            memory.hold_watermark(id, false);
        }
        self.release(id);
        self.find_deadline();
    }

    pub(super) fn report(&mut self, id: &AgencyId, error: Error) {
        self.not_filled += 1;
        if let Some(memory) = &self.memory {
            // The next start of the program looks for the missing messages again.
            memory.hold_watermark(id, true);
        }
        if !error.is_closed() {
            note!(self.log, Warn, "cannot fill the gap in {id}: {error}");
        }
        self.push(Event::GapNotFilled { agency_id: id.clone(), error: Arc::new(error) }, 0);
    }

    pub(super) fn release(&mut self, id: &AgencyId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        let Some(mut gap) = room.gap.take() else { return };
        room.cursor.end_resume();
        self.abandoned += usize::from(gap.filling);
        self.held -= gap.held.len();
        self.held_bytes -= gap.held.bytes();
        while let Some((event, size)) = gap.held.pop() {
            if is_new(&mut room.cursor, &event) {
                self.ready_bytes += size;
                self.ready.push_back((event, size));
            }
        }
    }

    pub(super) fn close_room(&mut self, id: &AgencyId) {
        if let Some(RoomHistory { gap: Some(gap), .. }) = self.rooms.remove(id) {
            self.abandoned += usize::from(gap.filling);
            self.held -= gap.held.len();
            self.held_bytes -= gap.held.bytes();
            self.find_deadline();
        }
    }

    pub(super) fn push(&mut self, event: Event, size: usize) {
        self.ready_bytes += size;
        self.ready.push_back((event, size));
    }
}

/// The error for `count` history messages that cannot be decoded.
pub(super) fn cannot_be_read(count: usize) -> Error {
    let messages = if count == 1 { "message" } else { "messages" };
    Error::new(ErrorKind::Protocol, format!("{count} {messages} of the room's history cannot be read"))
}

/// Notes an event that the agent is about to hand out. Returns `false` if the agent has handed the event out before.
pub(super) fn is_new(cursor: &mut HistoryCursor, event: &Event) -> bool {
    match event {
        Event::Message(message) => cursor.hear(message),
        Event::MessageEdited(edit) => {
            cursor.hear_edit(edit);
            true
        }
        _ => true,
    }
}
