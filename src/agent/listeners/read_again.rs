//! Reads the messages that a full queue has dropped, from the histories of their rooms.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::agent::event::Event;
use crate::agent::history::{fetch, size_of_message};
use crate::agent::listeners::Listeners;
use crate::agent::listeners::backlog::Lost;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, List, Message, Timestamp};
use crate::rest::{Client, Walk};
use crate::socket::{SessionLog, Waker, note};
use crate::threads;

/// The largest number of pages to read in one room.
const MAX_PAGES: usize = 200;

/// The data of a reading thread: the REST client, and the targets of its results.
pub(crate) struct DroppedMessageReader {
    pub(crate) number: u64,
    pub(crate) client: Client,
    pub(crate) waker: Waker,
    pub(crate) log: SessionLog,
    pub(crate) listeners: Arc<Listeners>,
}

/// For each room: its id, whether it is a direct conversation, and its dropped messages.
pub(crate) type Missing = Vec<(AgencyId, bool, Lost)>;

impl DroppedMessageReader {
    /// Starts the thread that reads the messages.
    pub(crate) fn start(self, missing: Missing) {
        let rooms: Vec<_> = missing.iter().map(|(room, ..)| room.clone()).collect();
        let (log, announced) = (self.log.clone(), self.waker.announce());
        let mut reading = Reading { reader: self, rooms, over: false };
        let work = move || {
            let (found, later) = reading.reader.read_all(missing);
            reading.end(found, later);
            drop(announced);
        };
        // If the thread cannot be started, dropping `work` drops `Reading`, which reports the gap.
        if let Err(error) = threads::start_short_lived("crustocean-history", work) {
            note!(log, Warn, "cannot start a thread to read missed messages: {error}");
        }
    }

    fn read_all(&self, missing: Missing) -> (Vec<Event>, HashMap<AgencyId, Lost>) {
        let (mut events, mut later, mut bytes) = (Vec::new(), HashMap::new(), 0);
        for (room, dm, lost) in missing {
            if bytes > self.listeners.bounds.bytes / 2 {
                later.insert(room, lost);
                continue;
            }
            let unknown = lost.unknown;
            let mut search =
                DroppedMessageSearch { found: VecDeque::new(), bytes: 0, lost, later: Lost::default(), dm };
            let read = self.read(&room, &mut search);
            let error = read.err().or_else(|| {
                let text = format!("{unknown} messages were dropped, too many to read again");
                (unknown > 0).then(|| Error::new(ErrorKind::Server, text))
            });
            if let Some(error) = error {
                self.listeners.count_not_filled();
                note!(self.log, Warn, "cannot read the dropped messages of {room} again: {error}");
                events.push(Event::GapNotFilled { agency_id: room.clone(), error: Arc::new(error) });
            }
            bytes += search.bytes;
            events.extend(search.found.into_iter().rev().map(Event::Message));
            if !search.later.ids.is_empty() {
                later.insert(room, search.later);
            }
        }
        (events, later)
    }

    /// Reads the history backwards until all dropped messages are found, or until older pages cannot contain them.
    fn read(&self, room: &AgencyId, search: &mut DroppedMessageSearch) -> Result<()> {
        let mut walk = Walk::default();
        for _ in 0..MAX_PAGES {
            let page = self.page(room, &mut search.dm, &walk)?;
            let Some(new) = walk.take(page) else { return Ok(()) };
            if search.take(new, self.listeners.bounds.bytes) {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Server, "the room gets more messages than can be read"))
    }

    fn page(&self, room: &AgencyId, dm: &mut bool, walk: &Walk) -> Result<List<Message>> {
        let fetch =
            || walk.empty_if_id_refused(fetch::page(&self.client, room, dm, walk.before(), fetch::PAGE));
        fetch::with_retries(fetch, |pause, _| match self.client.cancel_token().wait(pause) {
            true => Err(Error::closed()),
            false => Ok(()),
        })
    }
}

/// The search for the dropped messages of one room.
struct DroppedMessageSearch {
    /// Newest first.
    found: VecDeque<Message>,
    bytes: usize,
    lost: Lost,
    /// The newest dropped messages, if all messages together exceed the memory limit. A later run reads these.
    later: Lost,
    dm: bool,
}

impl DroppedMessageSearch {
    /// Adds a page. Returns `true` if no older page is needed.
    fn take(&mut self, page: Vec<Message>, most_bytes: usize) -> bool {
        let since = self.lost.since.clone();
        let is_before = |message: &Message| -> bool {
            let time: &Timestamp = &message.created_at;
            since.as_ref().is_some_and(|since| time < since)
        };
        let all_before = page.iter().all(is_before);
        for mut message in page {
            if !self.lost.ids.remove(&message.id) {
                continue;
            }
            message.replayed = true;
            message.dm |= self.dm;
            self.bytes += size_of_message(&message);
            self.found.push_back(message);
            while self.bytes > most_bytes && self.found.len() > 1 {
                let Some(newest) = self.found.pop_front() else { break };
                self.bytes -= size_of_message(&newest);
                self.later.add(newest.id, newest.created_at);
            }
        }
        // Messages that were deleted meanwhile are not found. `all_before` ends the search then.
        self.lost.ids.is_empty() || all_before
    }
}

/// Ends the reading for the listener. If the thread panics, `Drop` reports a gap.
struct Reading {
    reader: DroppedMessageReader,
    rooms: Vec<AgencyId>,
    over: bool,
}

impl Reading {
    fn end(&mut self, found: Vec<Event>, later: HashMap<AgencyId, Lost>) {
        self.over = true;
        self.reader.listeners.end_reading(self.reader.number, found, later);
        self.reader.waker.wake_all();
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let gap = |room: AgencyId| {
            self.reader.listeners.count_not_filled();
            let error = Error::new(ErrorKind::Connect, "the thread that reads missed messages has failed");
            Event::GapNotFilled { agency_id: room, error: Arc::new(error) }
        };
        let gaps = std::mem::take(&mut self.rooms).into_iter().map(gap).collect();
        self.end(gaps, HashMap::new());
    }
}
