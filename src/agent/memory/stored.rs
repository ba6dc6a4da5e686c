//! A memory that a [store](StateStore) keeps.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::agent::memory::interface::{IN_REPLY_TO, Memory, Resume};
use crate::agent::memory::room_memory::RoomMemory;
use crate::agent::memory::store::StateStore;
use crate::agent::recent_ids::RecentIds;
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::{AgencyId, Message, MessageId, User, UserId};
use crate::sync::lock::Mutex;
use crate::user_code::caught;

/// The interval at which heard messages are saved.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// The largest number of ids in `answered`.
const MAX_ANSWERED: usize = 16_384;
/// The most open questions that the memory tracks. Anybody in a room can ask questions, and a program may take none of
/// them.
const MAX_OPEN: usize = 16_384;
/// The memory saves a smaller change of the difference between the clocks only with another change. In milliseconds.
const CLOCK_TOLERANCE: u64 = 60 * 1000;
/// The value of `Saved::format`, which shows that this crate has written the text.
const FORMAT: &str = "crustocean agent state";

/// A memory that is stored.
pub(super) struct StoredMemory {
    state: Mutex<StoredMemoryState>,
    saver: Mutex<Saver>,
    /// The thread that is saving. The store may call the agent, and the agent must not save again inside this call.
    saving: Mutex<Option<ThreadId>>,
}

impl std::fmt::Debug for StoredMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredMemory").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct StoredMemoryState {
    me: UserId,
    username: String,
    /// The greatest age of messages that the agent reads after a start.
    max_age: Option<Duration>,
    /// How far this machine's clock is ahead of the server's, in milliseconds, as the last run saw it.
    clock_was_ahead: u64,
    /// How far this machine's clock is ahead in this run. `None`: no live message has come yet.
    clock_ahead: Option<u64>,
    rooms: HashMap<AgencyId, RoomMemory>,
    /// Questions that the agent has heard and that are not done.
    open: HashMap<MessageId, Open>,
    /// Questions whose answer was in the room's history before the question was handed out.
    answered: RecentIds<MAX_ANSWERED>,
    /// The number of changes, and the number of saved changes.
    changes: u64,
    saved: u64,
    /// The time of the next save or retry.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    room: AgencyId,
    time: Option<u64>,
    /// The thread that has the question, if any.
    thread: Option<ThreadId>,
    /// The thread has asked for its next question.
    asked_next: bool,
    /// The question was dropped.
    dropped: bool,
}

struct Saver {
    /// `None` after the agent has ended.
    store: Option<Arc<dyn StateStore>>,
    /// The name of the store in error messages.
    name: String,
    /// The text that was in the store when the store was opened, until `belong_to` reads it.
    text: Option<String>,
    failing: bool,
}

/// The text in the store.
#[derive(Serialize, Deserialize)]
struct Saved<R> {
    format: String,
    version: u32,
    /// The agent that owns this memory.
    agent: UserId,
    /// How far this machine's clock is ahead of the server's, in milliseconds.
    #[serde(default)]
    clock_ahead: u64,
    rooms: R,
}

fn read(text: &str, me: &User) -> Result<Saved<HashMap<AgencyId, RoomMemory>>, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    let saved: Saved<HashMap<AgencyId, RoomMemory>> = serde_json::from_str(text)
        .map_err(|error| format!("it is incomplete, or this crate has not written it ({error})"))?;
    if saved.format != FORMAT {
        return Err("this crate has not written it".to_owned());
    }
    if saved.version != 1 {
        return Err(format!("it has version {}, which a newer release of this crate writes", saved.version));
    }
    if saved.agent != me.id {
        return Err(format!("it belongs to another agent ({}), not to @{}", saved.agent, me.username));
    }
    Ok(saved)
}

impl StoredMemory {
    /// # Errors
    /// `Config` if the store cannot be read. The error has the store's name.
    pub(super) fn open(store: Arc<dyn StateStore>, name: String) -> Result<Self> {
        let text = store
            .load()
            .map_err(|error| Error::config(format!("cannot read {name}: {error}")).with_source(error))?;
        let saver = Saver { store: Some(store), name, text, failing: false };
        Ok(StoredMemory { state: Mutex::default(), saver: Mutex::new(saver), saving: Mutex::default() })
    }
}

impl Memory for StoredMemory {
    fn belong_to(&self, me: &User, max_age: Duration) -> Result<()> {
        let mut saver = self.saver.lock();
        let (clock_was_ahead, mut rooms) = match saver.text.take() {
            Some(text) => match read(&text, me) {
                Ok(saved) => (saved.clock_ahead, saved.rooms),
                Err(why) => {
                    let name = &saver.name;
                    return Err(Error::config(format!(
                        "cannot store the memory in {name}: {why}. It was not changed. Move it away to start with an empty memory"
                    )));
                }
            },
            None => (0, HashMap::new()),
        };
        rooms.values_mut().for_each(RoomMemory::index);
        *self.state.lock() = StoredMemoryState {
            me: me.id.clone(),
            username: me.username.clone(),
            max_age: Some(max_age),
            clock_was_ahead,
            rooms,
            ..StoredMemoryState::default()
        };
        Ok(())
    }

    fn resume(&self, room: &AgencyId) -> Option<Resume> {
        let state = self.state.lock();
        let room_memory = state.rooms.get(room)?;
        // The watermark itself does not depend on this machine's clock, which may be wrong.
        let since = room_memory
            .watermark
            .max(state.oldest())
            .and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
        let acknowledged = room_memory.acknowledged.iter().map(|(id, _)| id.clone()).collect();
        Some(Resume { dm: room_memory.dm, since, acknowledged })
    }

    fn begin(&self, room: &AgencyId, page: &[Message], whole: bool, dm: bool) {
        let mut state = self.state.lock();
        if state.rooms.contains_key(room) {
            return;
        }
        let times = page.iter().filter_map(time_of);
        let watermark = if whole { None } else { times.min().map(|time| time.min(now())) };
        let mut room_memory = RoomMemory { dm, watermark, ..RoomMemory::default() };
        for message in page.iter().rev() {
            room_memory.acknowledge(&message.id, time_of(message), None, now());
        }
        state.rooms.insert(room.clone(), room_memory);
        state.change();
    }

    fn forget(&self, room: &AgencyId) {
        let mut state = self.state.lock();
        if state.rooms.remove(room).is_some() {
            state.open.retain(|_, open| open.room != *room);
            state.change();
        }
    }

    fn hold_watermark(&self, room: &AgencyId, held: bool) {
        let mut state = self.state.lock();
        let changed =
            |room_memory: &mut RoomMemory| std::mem::replace(&mut room_memory.watermark_held, held) != held;
        if state.rooms.get_mut(room).is_some_and(changed) {
            state.change();
        }
    }

    fn note_answer(&self, message: &Message) {
        let mut state = self.state.lock();
        if !message.is_by(&state.me, &state.username) {
            return;
        }
        let Some(question) = message.metadata.get(IN_REPLY_TO) else { return };
        let Some(question) = question.as_str().map(MessageId::from) else { return };
        // For a question of this process, `open` has the correct state.
        if !state.is_known(&message.agency_id, &question) {
            state.answered.add(&question);
        }
    }

    fn is_answered(&self, id: &MessageId) -> bool {
        self.state.lock().answered.contains(id)
    }

    fn hear(&self, message: &Message, is_question: bool) {
        let mut state = self.state.lock();
        let time = time_of(message);
        if !message.replayed {
            state.note_time(time);
        }
        if !is_question {
            // The message may have been a question before, such as an answer that `Mention::ask` has taken.
            state.open.remove(&message.id);
            return state.acknowledge(&message.agency_id, &message.id, time);
        }
        if state.is_known(&message.agency_id, &message.id) {
            return;
        }
        if state.open.len() >= MAX_OPEN {
            // The room's watermark stays before this question, so the question comes again after the next start.
            if let Some(room_memory) = state.rooms.get_mut(&message.agency_id) {
                room_memory.has_untracked = true;
            }
            return;
        }
        let room = message.agency_id.clone();
        let open = Open { room, time, thread: None, asked_next: false, dropped: false };
        state.open.insert(message.id.clone(), open);
    }

    fn hand_out(&self, id: &MessageId, held: bool) {
        if let Some(open) = self.state.lock().open.get_mut(id) {
            open.thread = Some(thread::current().id());
            open.dropped = !held;
        }
    }

    fn acknowledge_earlier(&self) -> bool {
        let mut state = self.state.lock();
        if state.open.is_empty() {
            return false;
        }
        let me = Some(thread::current().id());
        let mut done = Vec::new();
        for (id, open) in state.open.iter_mut().filter(|(_, open)| open.thread == me) {
            open.asked_next = true;
            if open.dropped {
                done.push(id.clone());
            }
        }
        done.iter().for_each(|id| state.finish(id));
        !done.is_empty()
    }

    fn drop_held(&self, id: &MessageId) -> bool {
        let mut state = self.state.lock();
        let Some(open) = state.open.get_mut(id) else { return false };
        open.dropped = true;
        let asked_next = open.asked_next;
        if asked_next {
            state.finish(id);
        }
        asked_next
    }

    fn done(&self, id: &MessageId) {
        self.state.lock().finish(id);
    }

    fn due(&self) -> Option<Instant> {
        self.state.lock().due
    }

    fn save(&self) -> Option<Error> {
        if self.is_saving_here() {
            // The change is still due: the agent saves it after this save.
            return None;
        }
        let mut saver = self.saver.lock();
        *self.saving.lock() = Some(thread::current().id());
        let _over = SaveGuard(&self.saving);
        let (text, changes) = {
            let mut state = self.state.lock();
            if state.changes == state.saved {
                state.due = None;
                return None;
            }
            // The next save is at least `SAVE_INTERVAL` later, also after a failure.
            state.due = Some(deadline::after(SAVE_INTERVAL));
            (state.text(), state.changes)
        };
        let store = saver.store.as_ref()?;
        let outcome = match text {
            // `save` is the program's code and may panic.
            Ok(text) => caught(|| store.save(&text).map_err(|error| (error.to_string(), error)))
                .unwrap_or_else(|_| {
                    Err(("the state store panicked".to_owned(), "the state store panicked".into()))
                }),
            Err(error) => Err((error.to_string(), error.into())),
        };
        match outcome {
            Ok(()) => {
                let mut state = self.state.lock();
                state.saved = changes;
                if state.changes == changes {
                    state.due = None;
                }
                if std::mem::take(&mut saver.failing) {
                    crate::logging::info!("the agent's memory is saved again");
                }
                None
            }
            Err((shown, error)) => {
                let first = !std::mem::replace(&mut saver.failing, true);
                let text = format!(
                    "the agent's memory cannot be saved: {shown}. The agent continues, and tries again every {SAVE_INTERVAL:?}"
                );
                first.then(|| {
                    crate::logging::warn!("{text}");
                    Error::config(text).with_source(error)
                })
            }
        }
    }

    fn is_saving_here(&self) -> bool {
        *self.saving.lock() == Some(thread::current().id())
    }

    fn end(&self) {
        self.save();
        // Keep the store if a method of the store has dropped the agent's last handle.
        if !self.is_saving_here() {
            let store = self.saver.lock().store.take();
            let _ = caught(|| drop(store));
        }
    }
}

/// Marks the end of a save when dropped.
struct SaveGuard<'a>(&'a Mutex<Option<ThreadId>>);

impl Drop for SaveGuard<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

impl StoredMemoryState {
    fn change(&mut self) {
        self.changes += 1;
        self.due.get_or_insert_with(|| deadline::after(SAVE_INTERVAL));
    }

    /// Whether the question is open or acknowledged.
    fn is_known(&self, room: &AgencyId, question: &MessageId) -> bool {
        let acknowledged = self.rooms.get(room).is_some_and(|room| room.is_acknowledged(question));
        acknowledged || self.open.contains_key(question)
    }

    fn acknowledge(&mut self, room: &AgencyId, id: &MessageId, time: Option<u64>) {
        let open = self.open.values().filter(|open| open.room == *room).filter_map(|open| open.time).min();
        let room_memory = self.rooms.entry(room.clone()).or_insert_with(|| {
            // The start position is not known, so the memory starts at this message, or now.
            RoomMemory { watermark: Some(time.unwrap_or(u64::MAX).min(now())), ..RoomMemory::default() }
        });
        if room_memory.acknowledge(id, time, open, now()) {
            self.change();
        }
    }

    /// The time before which messages are too old after a start, by the server's clock.
    fn oldest(&self) -> Option<u64> {
        let oldest = SystemTime::now().checked_sub(self.max_age?).map(millis)?;
        Some(oldest.saturating_sub(self.clock_was_ahead))
    }

    /// Compares this machine's clock with the time of a live message. Messages may wait before a loop takes them, so
    /// the smallest difference is the best.
    fn note_time(&mut self, time: Option<u64>) {
        let Some(time) = time else { return };
        let known = self.clock_ahead();
        let ahead = now().saturating_sub(time);
        self.clock_ahead = Some(self.clock_ahead.map_or(ahead, |least| least.min(ahead)));
        // The next other change also saves a smaller difference.
        if self.clock_ahead().abs_diff(known) > CLOCK_TOLERANCE {
            self.change();
        }
    }

    fn clock_ahead(&self) -> u64 {
        self.clock_ahead.unwrap_or(self.clock_was_ahead)
    }

    fn finish(&mut self, id: &MessageId) {
        if let Some(open) = self.open.remove(id) {
            self.acknowledge(&open.room, id, open.time);
        }
    }

    fn text(&self) -> serde_json::Result<String> {
        let agent = self.me.clone();
        let mut text = serde_json::to_string(&Saved {
            format: FORMAT.to_owned(),
            version: 1,
            agent,
            clock_ahead: self.clock_ahead(),
            rooms: &self.rooms,
        })?;
        text.push('\n');
        Ok(text)
    }
}

fn time_of(message: &Message) -> Option<u64> {
    message.created_at.to_system_time().map(millis)
}

fn now() -> u64 {
    millis(SystemTime::now())
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
