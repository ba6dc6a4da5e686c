//! The rooms that the agent is in, and the rooms that the agent has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::{Agency, AgencyId, AgencyJoined, Member};
use crate::sync::lock::Mutex;

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

/// The rooms that the agent is in.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    state: Mutex<RoomsState>,
    /// Whether `left` is not empty. Most agents never leave a room, and every event checks this.
    any_left: AtomicBool,
}

#[derive(Debug, Default)]
struct RoomsState {
    /// In the order of joining.
    joined: Vec<(AgencyId, RoomInfo)>,
    /// Rooms that the agent has left recently. The server may still send their events over the current connection.
    left: Vec<AgencyId>,
}

/// The most rooms in `left`. The server no longer sends events of rooms that the agent left earlier.
const MAX_LEFT: usize = 256;

impl RoomsState {
    fn find(&mut self, id: &AgencyId) -> Option<&mut RoomInfo> {
        self.joined.iter_mut().find(|(room, _)| room == id).map(|(_, about)| about)
    }

    fn remove(&mut self, id: &AgencyId) -> Option<RoomInfo> {
        let at = self.joined.iter().position(|(room, _)| room == id)?;
        Some(self.joined.remove(at).1)
    }
}

impl Rooms {
    /// Adds a room, or updates the room without changing its place in the order.
    pub(crate) fn add(&self, id: &AgencyId, about: RoomInfo) {
        self.forget_left(id);
        let mut state = self.state.lock();
        match state.find(id) {
            Some(known) => *known = about.or(known),
            None => state.joined.push((id.clone(), about)),
        }
    }

    /// Updates a room's members after a new join.
    pub(super) fn note_members(&self, joined: AgencyJoined) {
        let mut state = self.state.lock();
        if let Some(about) = state.find(&joined.agency_id)
            && !joined.members.is_empty()
        {
            about.members = joined.members.into_vec().into();
        }
    }

    /// Called before the agent joins the room again, so that the agent hands out the room's events again.
    pub(crate) fn forget_left(&self, id: &AgencyId) {
        if self.any_left.load(Ordering::Acquire) {
            let mut state = self.state.lock();
            state.left.retain(|left| left != id);
            self.any_left.store(!state.left.is_empty(), Ordering::Release);
        }
    }

    /// Removes a room that the server no longer lets the agent into.
    pub(crate) fn lose(&self, id: &AgencyId) {
        drop(self.state.lock().remove(id));
    }

    /// Removes a room that the agent leaves. Returns the information about the room, if the agent was in the room.
    pub(crate) fn leave(&self, id: &AgencyId) -> Option<RoomInfo> {
        let mut state = self.state.lock();
        let about = state.remove(id)?;
        if state.left.len() == MAX_LEFT {
            state.left.remove(0);
        }
        state.left.push(id.clone());
        self.any_left.store(true, Ordering::Release);
        Some(about)
    }

    pub(crate) fn has_left(&self, id: &AgencyId) -> bool {
        self.any_left.load(Ordering::Acquire) && self.state.lock().left.contains(id)
    }

    pub(crate) fn contains(&self, id: &AgencyId) -> bool {
        self.state.lock().find(id).is_some()
    }

    pub(crate) fn about(&self, id: &AgencyId) -> Option<RoomInfo> {
        self.state.lock().find(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<AgencyId> {
        self.state.lock().joined.iter().map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn all_with_about(&self) -> Vec<(AgencyId, RoomInfo)> {
        self.state.lock().joined.clone()
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
