//! Which rooms the agent is in, and which it has left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Agency, AgencyId, AgencyJoined, Member};

/// What is known of a room besides its id.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoomInfo {
    pub(crate) slug: Option<Arc<str>>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) dm: bool,
    /// Who was in it when it was joined last.
    pub(crate) members: Arc<[Member]>,
}

impl RoomInfo {
    /// A conversation with this user.
    pub(crate) fn dm(with: Option<&str>) -> Self {
        RoomInfo { name: with.map(Arc::from), dm: true, ..RoomInfo::default() }
    }
}

impl From<&Agency> for RoomInfo {
    fn from(agency: &Agency) -> Self {
        let known = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
        RoomInfo { slug: known(&agency.slug), name: known(&agency.name), ..RoomInfo::default() }
    }
}

#[derive(Debug)]
struct Joined {
    id: AgencyId,
    about: RoomInfo,
}

/// The rooms that the agent is in.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    state: Mutex<State>,
    /// Whether there is anything in `left`: most agents never leave, and every event asks.
    any_left: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// In the order they were joined.
    joined: Vec<Joined>,
    /// Left lately. The server may go on sending their events over the connection that was up then.
    left: Vec<AgencyId>,
}

/// What was left before that is old news to the server, too.
const MOST_LEFT: usize = 256;

impl State {
    fn place(&self, id: &AgencyId) -> Option<usize> {
        self.joined.iter().position(|room| room.id == *id)
    }

    fn find(&self, id: &AgencyId) -> Option<&Joined> {
        self.joined.get(self.place(id)?)
    }

    fn remove(&mut self, id: &AgencyId) -> Option<Joined> {
        self.place(id).map(|at| self.joined.remove(at))
    }
}

impl Rooms {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joined, or joined again: keeps its place in the order, and what is known of it.
    pub(crate) fn add(&self, id: &AgencyId, about: RoomInfo) {
        self.forget_left(id);
        let mut state = self.lock();
        let known = state.place(id);
        match known.and_then(|at| state.joined.get_mut(at)) {
            Some(room) => room.about = about.or(&room.about),
            None => state.joined.push(Joined { id: id.clone(), about }),
        }
    }

    /// Joined again.
    pub(super) fn note_members(&self, joined: AgencyJoined) {
        let mut state = self.lock();
        let place = state.place(&joined.agency_id);
        if let Some(room) = place.and_then(|at| state.joined.get_mut(at))
            && !joined.members.is_empty()
        {
            room.about.members = joined.members.into_vec().into();
        }
    }

    /// The agent is about to join the room again: events from there are handed out again.
    pub(crate) fn forget_left(&self, id: &AgencyId) {
        if self.any_left.load(Ordering::Acquire) {
            let mut state = self.lock();
            state.left.retain(|left| left != id);
            self.any_left.store(!state.left.is_empty(), Ordering::Release);
        }
    }

    /// The server does not let the agent in any more.
    pub(crate) fn lose(&self, id: &AgencyId) {
        drop(self.lock().remove(id));
    }

    /// The agent does not want to be in it any more. What is known of it, if it was.
    pub(crate) fn leave(&self, id: &AgencyId) -> Option<RoomInfo> {
        let mut state = self.lock();
        let room = state.remove(id)?;
        if state.left.len() == MOST_LEFT {
            state.left.remove(0);
        }
        state.left.push(room.id);
        self.any_left.store(true, Ordering::Release);
        Some(room.about)
    }

    pub(crate) fn has_left(&self, id: &AgencyId) -> bool {
        self.any_left.load(Ordering::Acquire) && self.lock().left.contains(id)
    }

    pub(crate) fn contains(&self, id: &AgencyId) -> bool {
        self.lock().place(id).is_some()
    }

    pub(crate) fn about(&self, id: &AgencyId) -> Option<RoomInfo> {
        self.lock().find(id).map(|room| room.about.clone())
    }

    pub(crate) fn all(&self) -> Vec<AgencyId> {
        self.lock().joined.iter().map(|room| room.id.clone()).collect()
    }

    pub(crate) fn all_with_about(&self) -> Vec<(AgencyId, RoomInfo)> {
        self.lock().joined.iter().map(|room| (room.id.clone(), room.about.clone())).collect()
    }
}

impl RoomInfo {
    /// What this does not know, from before.
    fn or(self, before: &RoomInfo) -> Self {
        RoomInfo {
            slug: self.slug.or_else(|| before.slug.clone()),
            name: self.name.or_else(|| before.name.clone()),
            dm: self.dm || before.dm,
            members: if self.members.is_empty() { Arc::clone(&before.members) } else { self.members },
        }
    }
}
