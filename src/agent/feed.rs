//! What the loop sees: everything in order, no message twice, gaps filled from the rooms' history.
//!
//! A link that came back, or a queue that overflowed, leaves a gap. It is filled on the consumer's own thread, between
//! what came before it and what came after: messages of the new link are held until the history has been read.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::agent::backfill;
use crate::agent::event::Event;
pub(crate) use crate::agent::gap::Source;
use crate::agent::gap::{Line, Queued, Tracks, decode, is_new, locked};
use crate::agent::track::{Since, Track};
use crate::error::Result;
use crate::model::{AgencyId, UserId};
use crate::rest::Client;
use crate::socket::{Item, Taken};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Held by a consumer, also while it fills a gap: the others wait for that.
    line: Mutex<Line>,
    /// Whether anything waits in the line or is being held: if not, events pass it by.
    busy: AtomicBool,
    /// [`Line::turn`], to be looked at before `busy`.
    turn: AtomicU64,
    /// Held for moments only. Taken after `line`, never before.
    tracks: Mutex<Tracks>,
}

impl Feed {
    fn line(&self) -> InLine<'_> {
        let state = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        InLine { state, feed: self }
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
    #[inline]
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
    #[inline]
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
    #[inline]
    pub(crate) fn push(&self, event: Event) {
        self.line().ready.push_back(event);
    }

    /// From where on the room's history is news, and where that history is.
    pub(crate) fn position(&self, room: &AgencyId) -> (Since, bool) {
        self.tracks().get(room).map_or((Since::Unknown, false), |track| (track.since(), track.dm))
    }

    /// Something that is due already.
    #[inline]
    pub(crate) fn take_ready(&self, source: &Source<'_>) -> Option<Event> {
        if self.busy.load(Ordering::Acquire) { self.take_from_line(source) } else { None }
    }

    #[inline(never)]
    fn take_from_line(&self, source: &Source<'_>) -> Option<Event> {
        let mut line = self.line();
        let event = loop {
            if let Some(event) = line.ready.pop_front() {
                break event;
            }
            let queued = line.backlog.pop_front()?;
            line.accept(queued, &self.tracks, source);
        };
        let more = !line.ready.is_empty() || !line.backlog.is_empty();
        drop(line);
        if more {
            // Not all of it is for this thread, which may be busy with the first for minutes.
            source.session.nudge();
        }
        Some(event)
    }

    /// What becomes of an item: an event to hand out now, or nothing (yet).
    #[inline]
    pub(crate) fn accept(&self, taken: Taken, source: &Source<'_>, place: &mut Option<Event>) {
        let Taken { item, turn } = taken;
        let queued = match item {
            Item::Event(raw) => {
                let size = raw.size();
                // Decoded by each consumer for itself.
                decode(raw, source, place);
                let Some(event) = &*place else { return };
                // The usual case, without a detour.
                if self.turn.load(Ordering::Acquire) >= turn && !self.busy.load(Ordering::Acquire) {
                    if !is_new(&mut self.tracks(), event) {
                        *place = None;
                    }
                    return;
                }
                let Some(event) = place.take() else { return };
                Queued::Event(event, size)
            }
            item => Queued::Item(item),
        };
        // Everything goes through in turn: a second consumer waits while the first one fills a gap.
        self.line().arrive(turn, queued);
        *place = self.take_ready(source);
    }
}

/// The line, locked. Says whether it is busy when it is let go.
struct InLine<'a> {
    state: MutexGuard<'a, Line>,
    feed: &'a Feed,
}

impl Deref for InLine<'_> {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.state
    }
}

impl DerefMut for InLine<'_> {
    fn deref_mut(&mut self) -> &mut Line {
        &mut self.state
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        // In this order: who sees the turn sees also what it brought.
        self.feed.busy.store(self.state.is_busy(), Ordering::Release);
        self.feed.turn.store(self.state.turn, Ordering::Release);
    }
}
