//! The rooms that the agent is in, and the rooms that the agent has left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Agency, AgencyId, AgencyJoined, Member};

/// Information about a room besides its id.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoomInfo {
    pub(crate) slug: Option<Arc<str>>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) dm: bool,
    /// The members at the last join.
    pub(crate) members: Arc<[Member]>,
}

impl RoomInfo {
    /// The information about a direct conversation with this user.
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
    /// Whether `left` is not empty. Most agents never leave a room, and every event checks this.
    any_left: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of joining.
    joined: Vec<Joined>,
    /// Rooms that were left recently. The server may still send their events over the current connection.
    left: Vec<AgencyId>,
}

/// The number of left rooms that are kept. The server no longer sends events of rooms that were left earlier.
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

    /// Adds a room, or updates the room without changing its place in the order.
    pub(crate) fn add(&self, id: &AgencyId, about: RoomInfo) {
        self.forget_left(id);
        let mut state = self.lock();
        let known = state.place(id);
        match known.and_then(|at| state.joined.get_mut(at)) {
            Some(room) => room.about = about.or(&room.about),
            None => state.joined.push(Joined { id: id.clone(), about }),
        }
    }

    /// Updates a room's members after a new join.
    pub(super) fn note_members(&self, joined: AgencyJoined) {
        let mut state = self.lock();
        let place = state.place(&joined.agency_id);
        if let Some(room) = place.and_then(|at| state.joined.get_mut(at))
            && !joined.members.is_empty()
        {
            room.about.members = joined.members.into_vec().into();
        }
    }

    /// Called before the agent joins the room again, so that the room's events are handed out again.
    pub(crate) fn forget_left(&self, id: &AgencyId) {
        if self.any_left.load(Ordering::Acquire) {
            let mut state = self.lock();
            state.left.retain(|left| left != id);
            self.any_left.store(!state.left.is_empty(), Ordering::Release);
        }
    }

    /// Removes a room that the server no longer lets the agent into.
    pub(crate) fn lose(&self, id: &AgencyId) {
        drop(self.lock().remove(id));
    }

    /// Removes a room that the agent leaves. Returns the information about the room, if the agent was in the room.
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
    /// Fills in missing information from an earlier value.
    fn or(self, before: &RoomInfo) -> Self {
        RoomInfo {
            slug: self.slug.or_else(|| before.slug.clone()),
            name: self.name.or_else(|| before.name.clone()),
            dm: self.dm || before.dm,
            members: if self.members.is_empty() { Arc::clone(&before.members) } else { self.members },
        }
    }
}
