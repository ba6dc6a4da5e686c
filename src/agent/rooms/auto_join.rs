//! Joins rooms automatically: rooms of invitations, and direct conversations that other users start.
//!
//! A thread that takes events checks whether work is due, and starts a short-lived thread for the work. So a thread
//! that waits for events never waits for a join.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::agent::recent_ids::RecentIds;
use crate::agent::rooms::RoomInfo;
use crate::agent::{Agent, AgentInner, Event};
use crate::deadline;
use crate::error::{ErrorKind, Result};
use crate::model::{AgencyId, Invitation};
use crate::socket::note;
use crate::stack;
use crate::sync::lock::Mutex;

/// The shortest interval between two checks.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The pause after a failure or while the connection is down.
const RETRY_DELAY: Duration = Duration::from_secs(15);
/// The largest number of invitations that the agent has not accepted yet. The agent finds further invitations in the
/// list of agencies.
const MOST_INVITATIONS: usize = 64;
/// The largest number of ids in `invited`. The agent may try once more to join an agency whose id it has forgotten.
const MOST_INVITED: usize = 4096;

/// The state of automatic joins. The agent can follow invitations, direct conversations, both or neither.
#[derive(Debug, Default)]
pub(crate) struct Following {
    /// Whether the agent follows anything. Every event checks this flag.
    active: AtomicBool,
    state: Mutex<FollowingState>,
}

#[derive(Debug, Default)]
struct FollowingState {
    invites: Option<Invites>,
    dms: Option<Conversations>,
    /// Invitations that the agent holds back until it has accepted them.
    waiting: VecDeque<Invitation>,
    /// The agencies of accepted invitations whose events the agent is about to hand out.
    accepted: Vec<AgencyId>,
    /// The function that the thread runs. The methods that follow rooms set it, so that a program that follows no rooms
    /// does not contain this code.
    work: Option<fn(&Agent)>,
    /// Whether a thread is working.
    busy: bool,
}

#[derive(Debug)]
struct Invites {
    /// The agencies of which the agent was a member at the start.
    members: HashSet<AgencyId>,
    /// The agencies that were new to the agent since then, from invitations and from the list of agencies. Bounded,
    /// because a server could invent any number of them.
    invited: RecentIds<MOST_INVITED, AgencyId>,
    /// The time at which the agent compares the list of agencies, because it may have missed an invitation.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Conversations {
    every: Duration,
    due: Instant,
}

/// The next piece of work.
#[derive(Debug)]
enum Task {
    Accept(Invitation),
    FindInvites,
    FindConversations,
}

impl Following {
    fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    fn begin(&self, work: fn(&Agent)) {
        self.state.lock().work = Some(work);
        self.active.store(true, Ordering::Release);
    }

    /// Returns the function that a new thread must run. `None` if a thread is working.
    fn work(&self) -> Option<fn(&Agent)> {
        let mut state = self.state.lock();
        let work = state.work.filter(|_| !state.busy)?;
        state.busy = true;
        Some(work)
    }

    /// Takes the next task for this thread. An invitation stays in `waiting` until the agent hands it out.
    fn take(&self, now: Instant) -> Option<Task> {
        let mut state = self.state.lock();
        if let Some(invitation) = state.waiting.front() {
            return Some(Task::Accept(invitation.clone()));
        }
        if let Some(invites) = &mut state.invites
            && invites.due.is_some_and(|due| due <= now)
        {
            invites.due = None;
            return Some(Task::FindInvites);
        }
        let conversations = state.dms.as_mut().filter(|conversations| conversations.due <= now)?;
        conversations.due = deadline::later(now, conversations.every);
        Some(Task::FindConversations)
    }

    fn next_due(&self) -> Option<Instant> {
        let state = self.state.lock();
        if state.busy {
            // The working thread wakes the other threads.
            return None;
        }
        if !state.waiting.is_empty() {
            return Some(Instant::now());
        }
        let invites = state.invites.as_ref().and_then(|invites| invites.due);
        let conversations = state.dms.as_ref().map(|conversations| conversations.due);
        deadline::earliest([invites, conversations])
    }

    /// Schedules all checks for `due`.
    fn schedule(&self, due: Instant) {
        let mut state = self.state.lock();
        if let Some(invites) = &mut state.invites {
            invites.due = Some(due);
        }
        if let Some(conversations) = &mut state.dms {
            conversations.due = conversations.due.min(due);
        }
    }

    /// Holds an invitation back until the agent has accepted it. Returns `false` if the agent must hand the event out
    /// now: the agent does not follow invitations, has accepted this invitation, or holds too many back.
    fn hold(&self, invitation: &Invitation) -> bool {
        let mut state = self.state.lock();
        if let Some(place) = state.accepted.iter().position(|id| *id == invitation.agency_id) {
            state.accepted.swap_remove(place);
            return false;
        }
        let too_many = state.waiting.len() >= MOST_INVITATIONS;
        let Some(invites) = &mut state.invites else { return false };
        if too_many {
            invites.due.get_or_insert(deadline::after(SHORTEST));
            return false;
        }
        invites.note(&invitation.agency_id);
        state.waiting.push_back(invitation.clone());
        true
    }

    /// Removes an invitation from `waiting`. Returns `false` if `waiting` does not contain the invitation.
    fn take_from_waiting(&self, id: &AgencyId) -> bool {
        let waiting = &mut self.state.lock().waiting;
        let place = waiting.iter().position(|invitation| invitation.agency_id == *id);
        place.and_then(|place| waiting.remove(place)).is_some()
    }
}

impl Invites {
    /// Notes an agency. Returns `false` if the agent knew the agency before.
    fn note(&mut self, id: &AgencyId) -> bool {
        !self.members.contains(id) && self.invited.add(id)
    }

    fn forget(&mut self, id: &AgencyId) {
        self.members.remove(id);
        self.invited.remove(id);
    }
}

struct BusyGuard<'a>(&'a Following);

impl Drop for BusyGuard<'_> {
    fn drop(&mut self) {
        self.0.state.lock().busy = false;
    }
}

impl Agent {
    /// Implements [`Agent::follow_invites`].
    pub(crate) fn begin_to_follow_invites(&self) -> Result<()> {
        let following = &self.inner.following;
        if following.state.lock().invites.is_some() {
            return Ok(());
        }
        let agencies = self.inner.client.agencies().list()?;
        let members = agencies.into_iter().filter(|agency| agency.is_member == Some(true));
        let members = members.map(|agency| agency.id).collect();
        let invites = Invites { members, invited: RecentIds::default(), due: None };
        following.state.lock().invites.get_or_insert(invites);
        following.begin(Agent::do_tasks);
        Ok(())
    }

    /// Implements [`Agent::follow_dms`].
    pub(crate) fn begin_to_follow_dms(&self, every: Duration) -> Result<()> {
        self.join_dms()?;
        let every = every.clamp(SHORTEST, LONGEST);
        self.inner.following.state.lock().dms = Some(Conversations { every, due: deadline::after(every) });
        self.inner.following.begin(Agent::do_tasks);
        Ok(())
    }

    /// The time at which a waiting thread must check again.
    pub(crate) fn next_room_check(&self) -> Option<Instant> {
        let following = &self.inner.following;
        following.is_active().then(|| following.next_due()).flatten()
    }

    /// Schedules all checks for now, because the agent may have missed an event.
    pub(crate) fn check_rooms_now(&self) {
        let following = &self.inner.following;
        if following.is_active() {
            following.schedule(Instant::now());
        }
    }

    /// Whether the event is an invitation that the agent hands out later, after the join.
    pub(crate) fn holds_invitation(&self, event: &Event) -> bool {
        let following = &self.inner.following;
        match event {
            Event::AgencyInvited(invitation) if following.is_active() => following.hold(invitation),
            _ => false,
        }
    }

    /// Hands out the invitations that the agent has not accepted. Called when the agent ends.
    pub(crate) fn stop_following(&self) {
        let AgentInner { following, delivery, .. } = &*self.inner;
        following.active.store(false, Ordering::Release);
        let waiting = std::mem::take(&mut following.state.lock().waiting);
        waiting.into_iter().for_each(|invitation| delivery.push(Event::AgencyInvited(invitation)));
    }

    /// Starts a thread for the work that is due, if there is any.
    pub(crate) fn start_room_tasks(&self) {
        let AgentInner { following, session, .. } = &*self.inner;
        if !following.is_active() || following.next_due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        let Some(work) = following.work() else { return };
        let agent = self.without_handle();
        let announced = session.waker().announce();
        let work: Box<dyn FnOnce() + Send> = Box::new(move || {
            work(&agent);
            // Nudge before `announced` is dropped: after the drop, a consumer may read without a time limit.
            agent.session().nudge();
            drop(announced);
        });
        if let Err(error) = stack::short_lived("crustocean-rooms").spawn(work) {
            note!(session.log(), Warn, "cannot start a thread to look for rooms: {error}");
            following.schedule(deadline::after(RETRY_DELAY));
            following.state.lock().busy = false;
        }
    }

    fn do_tasks(&self) {
        let AgentInner { following, session, .. } = &*self.inner;
        // The guard clears `busy` on every path, so that the next thread can start.
        let _busy = BusyGuard(following);
        while let Some(task) = following.take(Instant::now()) {
            let done = match task {
                Task::Accept(invitation) => {
                    let failed = self.accept(&invitation);
                    if following.take_from_waiting(&invitation.agency_id) {
                        self.hand_out(invitation);
                    }
                    if let Some(failed) = failed {
                        self.queue_event(failed);
                    }
                    Ok(())
                }
                // The connection is down. Every reconnect schedules the checks again.
                _ if !session.is_up() => {
                    following.schedule(deadline::after(RETRY_DELAY));
                    Ok(())
                }
                Task::FindInvites => self.find_invites(),
                Task::FindConversations => self.find_conversations(),
            };
            if let Err(error) = done {
                if !error.is_closed() {
                    note!(session.log(), Warn, "cannot look for new rooms: {error}");
                }
                let wait = error.retry_after().unwrap_or(RETRY_DELAY).clamp(SHORTEST, LONGEST);
                following.schedule(deadline::after(wait));
            }
        }
    }

    fn hand_out(&self, invitation: Invitation) {
        self.inner.following.state.lock().accepted.push(invitation.agency_id.clone());
        self.queue_event(Event::AgencyInvited(invitation));
    }

    /// Queues an event that is not from the session.
    pub(crate) fn queue_event(&self, event: Event) {
        self.inner.delivery.push(event);
        self.inner.session.nudge_reader();
    }

    /// Joins the room. Returns an event if the join fails.
    fn accept(&self, invitation: &Invitation) -> Option<Event> {
        let id = &invitation.agency_id;
        if self.inner.rooms.contains(id) {
            return None;
        }
        let about = invitation.agency.as_ref().map(RoomInfo::from).unwrap_or_default();
        match self.enter(id, about.clone()) {
            Ok(_) => None,
            Err(error) if error.is_closed() => None,
            Err(error) => {
                if error.kind() != ErrorKind::Rejected {
                    // The server did not reject the join, so a later check of the list accepts this agency again.
                    if let Some(invites) = &mut self.inner.following.state.lock().invites {
                        invites.forget(id);
                        invites.due.get_or_insert(deadline::after(RETRY_DELAY));
                    }
                }
                Some(self.failed_join(id, &about, error))
            }
        }
    }

    /// Compares the list of agencies with the known agencies, and accepts new ones.
    fn find_invites(&self) -> Result<()> {
        let AgentInner { client, following, rooms, .. } = &*self.inner;
        for agency in client.agencies().list()? {
            let wanted = agency.is_member == Some(true) && !rooms.contains(&agency.id);
            let is_new = |id| following.state.lock().invites.as_mut().is_some_and(|invites| invites.note(id));
            if wanted && !rooms.has_left(&agency.id) && is_new(&agency.id) {
                let invitation = Invitation { agency_id: agency.id.clone(), agency: Some(agency) };
                match self.accept(&invitation) {
                    Some(failed) => self.queue_event(failed),
                    None => self.hand_out(invitation),
                }
            }
        }
        Ok(())
    }

    fn find_conversations(&self) -> Result<()> {
        let AgentInner { client, rooms, delivery, me, .. } = &*self.inner;
        for dm in self.dms()? {
            let id = &dm.agency_id;
            if rooms.contains(id) || rooms.has_left(id) {
                continue;
            }
            delivery.add_new_conversation(id);
            let about = RoomInfo::dm(Some(&dm.participant.username));
            match self.enter(id, about.clone()) {
                Ok(_) => {
                    delivery.hand_out_first_page(client, id, me);
                    self.inner.session.nudge_reader();
                }
                Err(error) if error.kind() == ErrorKind::Rejected => {
                    self.queue_event(self.failed_join(id, &about, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_invitations_are_bounded_and_the_memberships_stay() {
        let id = |n: usize| AgencyId::from(format!("a{n}"));
        let mut invites = Invites { members: [id(0)].into(), invited: RecentIds::default(), due: None };
        for n in 1..=MOST_INVITED + 1 {
            assert!(invites.note(&id(n)) && !invites.note(&id(n)));
        }
        assert!(!invites.note(&id(0)) && !invites.note(&id(2)));
        assert!(invites.note(&id(1)), "the oldest is forgotten");
        invites.forget(&id(0));
        assert!(invites.note(&id(0)));
    }
}
