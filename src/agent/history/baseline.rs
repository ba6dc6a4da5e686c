//! The baseline of a room: the position in its history from which the agent listens.

use crate::agent::history::cursor::{HistoryCursor, Lookback};
use crate::agent::history::delivery::{Delivery, DeliverySource};
use crate::agent::history::fetch;
use crate::agent::history::room::RoomHistory;
use crate::agent::history::state::{DeliveryState, cannot_be_read};
use crate::agent::history::unreadable::Reported;
use crate::model::{AgencyId, User};
use crate::rest::Client;
use crate::socket::Session;

impl Delivery {
    /// Adds a room before the join. From now on, the helpers fill every gap of the room. Returns `true` if the start
    /// position in the room's history must be [read](Delivery::read_baseline).
    pub(crate) fn add_room(&self, room: &AgencyId, dm: bool) -> bool {
        let resume = self.shared.memory.as_ref().and_then(|memory| memory.resume(room));
        let mut state = self.lock();
        let is_new = !state.rooms.contains_key(room);
        if is_new && let Some(resume) = resume {
            let mut cursor = HistoryCursor::new(dm || resume.dm);
            cursor.resume(&resume.acknowledged, resume.since);
            // This gap started when the earlier run ended. The join ends the gap.
            let gap = state.new_gap();
            state.rooms.insert(room.clone(), RoomHistory::with_gap(cursor, gap));
            return false;
        }
        let entry =
            state.rooms.entry(room.clone()).or_insert_with(|| RoomHistory::new(HistoryCursor::new(dm)));
        let wanted = is_new || entry.waits_for_baseline();
        entry.readers += usize::from(wanted);
        wanted
    }

    /// Reads the start position in the room's history, before or during the join. A message on the page was sent
    /// before the join took effect, or also arrives live.
    ///
    /// The agent can still join a room whose history cannot be read. A helper reports the error later, when it must
    /// fill a gap.
    pub(crate) fn read_baseline(&self, source: &DeliverySource<'_>, room: &AgencyId, dm: bool) {
        // `Drop` removes this reader from the count on every path, so that no gap waits for it forever.
        let _reader = BaselineReader { delivery: self, session: source.session, room };
        let mut dm = dm;
        let Ok(page) = fetch::first_page(source.client, room, &mut dm) else { return };
        let mut state = self.lock();
        let Some(known) = state.rooms.get_mut(room).filter(|room| !room.has_baseline) else { return };
        known.has_baseline = true;
        known.cursor.dm = dm;
        known.cursor.begin_after(&page.messages, page.is_whole);
        let from_before = known.cursor.unreadable(&page.messages, None, &Lookback::default());
        known.cursor.note_reported(Reported::from(&*from_before));
        if let Some(memory) = &self.shared.memory {
            memory.begin(room, &page.messages, page.is_whole, dm);
        }
    }

    /// Called after the join. Reads the start position if the first attempt failed, because only members can read
    /// some histories. Ends the gap of a room that continues from an earlier run of the program.
    pub(crate) fn complete_baseline(&self, source: &DeliverySource<'_>, room: &AgencyId, dm: bool) {
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

    /// Adds a conversation that another user has started, before the agent joins it. The agent has heard no message
    /// of the conversation. Live messages are held until [`hand_out_first_page`](Delivery::hand_out_first_page).
    pub(crate) fn add_new_conversation(&self, room: &AgencyId) {
        if self.shared.memory.as_ref().is_some_and(|memory| memory.resume(room).is_some()) {
            return;
        }
        let mut cursor = HistoryCursor::new(true);
        cursor.begin_after(&[], true);
        let mut state = self.lock();
        let gap = state.new_gap();
        state.rooms.entry(room.clone()).or_insert(RoomHistory::with_gap(cursor, gap));
    }

    /// Hands out the messages of a new conversation that were sent before the join: those on the last page that are
    /// newer than the agent's own last message.
    pub(crate) fn hand_out_first_page(&self, client: &Client, room: &AgencyId, me: &User) {
        let gap = |state: &DeliveryState| {
            let room = state.rooms.get(room).filter(|room| !room.cursor.is_resumed())?;
            room.gap.as_ref().map(|gap| gap.id)
        };
        let Some(gap) = gap(&self.lock()) else { return };
        let mut dm = true;
        let outcome = fetch::first_page(client, room, &mut dm).map(|page| {
            let unheard =
                page.messages.iter().take_while(|message| !message.is_by(&me.id, &me.username)).count();
            let unreadable = {
                let mut state = self.lock();
                let Some(room) = state.rooms.get_mut(room) else { return false };
                let mut unreadable = room.cursor.unreadable(&page.messages, None, &Lookback::default());
                room.cursor.note_reported(Reported::from(&*unreadable));
                unreadable.retain(|element| element.place <= unheard);
                unreadable.len()
            };
            let mut messages = page.messages.into_vec();
            let before = messages.split_off(unheard);
            messages.reverse();
            if let Some(memory) = &self.shared.memory {
                memory.begin(room, &before, page.is_whole, dm);
            }
            let mut state = self.lock();
            if let Some(room) = state.rooms.get_mut(room) {
                room.cursor.begin_after(&before, page.is_whole);
            }
            if unreadable > 0 {
                state.report(room, cannot_be_read(unreadable));
            }
            state.merge(room, gap, messages).is_ok()
        });
        let mut state = self.lock();
        if let Some(RoomHistory { gap: Some(gap), .. }) = state.rooms.get_mut(room) {
            gap.ended = true;
        }
        state.finish(room, gap, outcome.err());
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
            // Wake a thread that takes events, because only such a thread starts the helper.
            self.session.wake_reader();
        }
    }
}
