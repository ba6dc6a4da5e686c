//! What the agent follows: which rooms to join automatically, and when.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::agent::recent_ids::RecentIds;
use crate::deadline;
use crate::model::{AgencyId, Invitation};
use crate::sync::lock::Mutex;

/// The shortest interval between two checks.
pub(super) const MIN_INTERVAL: Duration = Duration::from_secs(1);
pub(super) const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest number of invitations that the agent has not accepted yet. The agent finds further invitations in the
/// list of agencies.
const MAX_INVITATIONS: usize = 64;
/// The largest number of ids in `invited`. The agent may try once more to join an agency whose id it has forgotten.
const MAX_INVITED: usize = 4096;

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
    /// Whether a thread is working.
    busy: bool,
}

#[derive(Debug)]
struct Invites {
    /// The agencies of which the agent was a member at the start.
    members: HashSet<AgencyId>,
    /// The agencies that were new to the agent since then, from invitations and from the list of agencies. Bounded,
    /// because a server could invent any number of them.
    invited: RecentIds<MAX_INVITED, AgencyId>,
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
pub(super) enum Task {
    Accept(Invitation),
    FindInvites,
    FindConversations,
}

impl Following {
    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Ends the automatic joins. Returns the invitations that the agent has not accepted.
    pub(super) fn end(&self) -> VecDeque<Invitation> {
        self.active.store(false, Ordering::Release);
        std::mem::take(&mut self.state.lock().waiting)
    }

    pub(super) fn has_invites(&self) -> bool {
        self.state.lock().invites.is_some()
    }

    /// Follows invitations, unless the agent does so already. `members`: the agencies of which the agent is a member.
    pub(super) fn follow_invites(&self, members: HashSet<AgencyId>) {
        let invites = Invites { members, invited: RecentIds::default(), due: None };
        self.state.lock().invites.get_or_insert(invites);
        self.active.store(true, Ordering::Release);
    }

    /// Looks for new conversations at this interval.
    pub(super) fn follow_dms(&self, every: Duration) {
        let every = every.clamp(MIN_INTERVAL, MAX_INTERVAL);
        self.state.lock().dms = Some(Conversations { every, due: deadline::after(every) });
        self.active.store(true, Ordering::Release);
    }

    /// Lets this thread start the work. Returns `false` if a thread is working.
    pub(super) fn begin_work(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().busy, true)
    }

    pub(super) fn end_work(&self) {
        self.state.lock().busy = false;
    }

    /// Takes the next task for this thread. An invitation stays in `waiting` until the agent hands it out.
    pub(super) fn take(&self, now: Instant) -> Option<Task> {
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

    pub(super) fn next_due(&self) -> Option<Instant> {
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
    pub(super) fn schedule(&self, due: Instant) {
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
    pub(super) fn hold(&self, invitation: &Invitation) -> bool {
        let mut state = self.state.lock();
        if let Some(place) = state.accepted.iter().position(|id| *id == invitation.agency_id) {
            state.accepted.swap_remove(place);
            return false;
        }
        let too_many = state.waiting.len() >= MAX_INVITATIONS;
        let Some(invites) = &mut state.invites else { return false };
        if too_many {
            invites.due.get_or_insert(deadline::after(MIN_INTERVAL));
            return false;
        }
        invites.note(&invitation.agency_id);
        state.waiting.push_back(invitation.clone());
        true
    }

    /// Removes an invitation from `waiting`. Returns `false` if `waiting` does not contain the invitation.
    pub(super) fn take_from_waiting(&self, id: &AgencyId) -> bool {
        let waiting = &mut self.state.lock().waiting;
        let place = waiting.iter().position(|invitation| invitation.agency_id == *id);
        place.and_then(|place| waiting.remove(place)).is_some()
    }

    /// Lets the event of an accepted invitation pass.
    pub(super) fn pass_on(&self, id: &AgencyId) {
        self.state.lock().accepted.push(id.clone());
    }

    /// Notes an agency of the list. Returns `false` if the agent does not follow invitations, or knew the agency
    /// before.
    pub(super) fn is_new(&self, id: &AgencyId) -> bool {
        self.state.lock().invites.as_mut().is_some_and(|invites| invites.note(id))
    }

    /// Forgets an agency, so that a check of the list at `due` accepts this agency again.
    pub(super) fn forget(&self, id: &AgencyId, due: Instant) {
        if let Some(invites) = &mut self.state.lock().invites {
            invites.forget(id);
            invites.due.get_or_insert(due);
        }
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

/// The work of a thread. Ends when dropped, on every path, so that the next thread can start.
pub(super) struct WorkGuard<'a>(pub(super) &'a Following);

impl Drop for WorkGuard<'_> {
    fn drop(&mut self) {
        self.0.end_work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_invitations_are_bounded_and_the_memberships_stay() {
        let id = |n: usize| AgencyId::from(format!("a{n}"));
        let mut invites = Invites { members: [id(0)].into(), invited: RecentIds::default(), due: None };
        for n in 1..=MAX_INVITED + 1 {
            assert!(invites.note(&id(n)) && !invites.note(&id(n)));
        }
        assert!(!invites.note(&id(0)) && !invites.note(&id(2)));
        assert!(invites.note(&id(1)), "the oldest is forgotten");
        invites.forget(&id(0));
        assert!(invites.note(&id(0)));
    }
}
