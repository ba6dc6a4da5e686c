//! Rooms that come by themselves: invitations, and conversations that others begin.
//!
//! No thread is kept for it: whoever takes events looks, outside of all locks, before he waits for the next one.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::events::earlier;
use crate::agent::rooms::About;
use crate::agent::{Agent, Event, Inner};
use crate::deadline;
use crate::error::{ErrorKind, Result};
use crate::model::{AgencyId, Invitation};

/// Looking more often than this is no use to anybody.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// When a look failed, or the link is down.
const AGAIN: Duration = Duration::from_secs(15);

/// What is being followed.
#[derive(Debug, Default)]
pub(crate) struct Following {
    /// What is done about it, set by the first call that follows something: every event asks whether there is any,
    /// most agents have none, and then their programs need not contain it.
    acts: OnceLock<Acts>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct Acts {
    run_errands: fn(&Agent),
    welcome: fn(&Agent, &Invitation),
    next_due: fn(&Following) -> Option<Instant>,
    look: fn(&Following, Instant),
}

#[derive(Debug, Default)]
struct State {
    invites: Option<Invites>,
    dms: Option<Conversations>,
}

#[derive(Debug)]
struct Invites {
    /// The agencies that the agent was a member of to begin with, and those that it has been invited to since.
    known: Vec<AgencyId>,
    /// When to compare the list: an invitation may have been missed.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Conversations {
    every: Duration,
    due: Instant,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
enum Errand {
    Invites,
    Conversations,
}

impl Following {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn activate(&self) {
        self.acts.get_or_init(|| Acts {
            run_errands: Agent::do_errands,
            welcome: Agent::welcome,
            next_due: Following::next_due,
            look: Following::look,
        });
    }

    /// The next errand, which is then this thread's.
    #[inline]
    fn take(&self, now: Instant) -> Option<Errand> {
        let mut state = self.lock();
        if let Some(invites) = &mut state.invites
            && invites.due.is_some_and(|due| due <= now)
        {
            invites.due = None;
            return Some(Errand::Invites);
        }
        let conversations = state.dms.as_mut().filter(|conversations| conversations.due <= now)?;
        conversations.due = now + conversations.every;
        Some(Errand::Conversations)
    }

    #[inline]
    fn next_due(&self) -> Option<Instant> {
        let state = self.lock();
        let invites = state.invites.as_ref().and_then(|invites| invites.due);
        let conversations = state.dms.as_ref().map(|conversations| conversations.due);
        earlier(invites, conversations)
    }

    /// Everything is looked for at `due`.
    #[inline]
    fn look(&self, due: Instant) {
        let mut state = self.lock();
        if let Some(invites) = &mut state.invites {
            invites.due = Some(due);
        }
        if let Some(conversations) = &mut state.dms {
            conversations.due = conversations.due.min(due);
        }
    }

    #[inline]
    fn follows_invites(&self) -> bool {
        self.lock().invites.is_some()
    }

    /// False if it was known.
    #[inline]
    fn note_invite(&self, id: &AgencyId) -> bool {
        match &mut self.lock().invites {
            Some(invites) if !invites.known.contains(id) => {
                invites.known.push(id.clone());
                true
            }
            _ => false,
        }
    }
}

impl Agent {
    /// From now on, when the agent is added to an agency, its room is joined before
    /// [`Event::AgencyInvited`] is handed out. Invitations that come while the connection is down, or the loop is too
    /// slow, are found afterwards. The room that [`send`](Agent::send) speaks in stays the same.
    ///
    /// It happens in the thread that takes the events ([`events`](Agent::events), [`mentions`](Agent::mentions)), which
    /// waits for the server's word meanwhile. A room that does not let the agent in is an [`Event::JoinFailed`].
    ///
    /// Agencies that the agent is a member of already are for [`join_all`](Agent::join_all).
    ///
    /// # Errors
    /// Those of the REST call for the agencies that the agent is a member of now.
    #[inline]
    pub fn follow_invites(&self) -> Result<()> {
        let following = &self.inner.following;
        if following.follows_invites() {
            return Ok(());
        }
        let agencies = self.inner.client.agencies().list()?;
        let members = agencies.into_iter().filter(|agency| agency.is_member == Some(true));
        let known = members.map(|agency| agency.id).collect();
        following.lock().invites.get_or_insert(Invites { known, due: None });
        following.activate();
        Ok(())
    }

    /// Joins the direct-message conversations there are, as [`join_dms`](Agent::join_dms) does, and from now on looks
    /// for new ones every so often (from a second to a day; 30 s is a good measure): the platform does not announce them.
    /// What was said in a new one before it was found comes as [`replayed`](crate::Message::replayed) messages, the last
    /// 100 at most.
    ///
    /// It happens in the thread that takes the events, as with [`follow_invites`](Agent::follow_invites): a REST call
    /// each time. One that is busy with something else looks afterwards.
    ///
    /// # Errors
    /// As [`join_dms`](Agent::join_dms). Later failures are logged and tried again.
    #[inline]
    pub fn follow_dms(&self, every: Duration) -> Result<()> {
        self.join_dms()?;
        let every = every.clamp(SHORTEST, LONGEST);
        self.inner.following.lock().dms = Some(Conversations { every, due: deadline::after(every) });
        self.inner.following.activate();
        Ok(())
    }

    /// When a thread that waits for an event has to look up.
    pub(crate) fn next_errand(&self) -> Option<Instant> {
        let following = &self.inner.following;
        (following.acts.get()?.next_due)(following)
    }

    /// Does what is due.
    pub(crate) fn run_errands(&self) {
        if let Some(acts) = self.inner.following.acts.get() {
            (acts.run_errands)(self);
        }
    }

    #[inline]
    fn do_errands(&self) {
        let Inner { following, session, .. } = &*self.inner;
        while let Some(errand) = following.take(Instant::now()) {
            if !session.is_up() {
                // There is a look after every reconnect.
                following.look(deadline::after(AGAIN));
                return;
            }
            let done = match errand {
                Errand::Invites => self.find_invites(),
                Errand::Conversations => self.find_conversations(),
            };
            if let Err(error) = done {
                crate::logging::info!("cannot look for new rooms: {error}");
                following
                    .look(deadline::after(error.retry_after().unwrap_or(AGAIN).clamp(SHORTEST, LONGEST)));
            }
        }
    }

    /// Something may have been missed.
    pub(crate) fn look_for_rooms(&self) {
        let following = &self.inner.following;
        if let Some(acts) = following.acts.get() {
            (acts.look)(following, Instant::now());
        }
    }

    /// Does what an event asks for before it is handed out.
    pub(crate) fn attend_to(&self, event: &Event) {
        if let Event::AgencyInvited(invitation) = event
            && let Some(acts) = self.inner.following.acts.get()
        {
            (acts.welcome)(self, invitation);
        }
    }

    #[inline]
    fn welcome(&self, invitation: &Invitation) {
        let following = &self.inner.following;
        if following.follows_invites() {
            following.note_invite(&invitation.agency_id);
            self.accept(invitation);
        }
    }

    #[inline]
    fn accept(&self, invitation: &Invitation) {
        let id = &invitation.agency_id;
        if self.inner.rooms.contains(id) {
            return;
        }
        let about = invitation.agency.as_ref().map(About::from).unwrap_or_default();
        match self.enter(id, about) {
            Ok(_) => {}
            Err(error) if error.is_closed() => {}
            Err(error) => {
                if error.kind() != ErrorKind::Rejected {
                    // The link's fault: it is found on the list again.
                    if let Some(invites) = &mut self.inner.following.lock().invites {
                        invites.known.retain(|known| known != id);
                        invites.due.get_or_insert(deadline::after(AGAIN));
                    }
                }
                self.report_failed_join(id, error);
            }
        }
    }

    /// Compares the list of agencies with what is known.
    #[inline]
    fn find_invites(&self) -> Result<()> {
        let Inner { client, following, rooms, delivery, .. } = &*self.inner;
        for agency in client.agencies().list()? {
            let wanted = agency.is_member == Some(true) && !rooms.contains(&agency.id);
            if wanted && !rooms.has_left(&agency.id) && following.note_invite(&agency.id) {
                let invitation = Invitation { agency_id: agency.id.clone(), agency: Some(agency) };
                self.accept(&invitation);
                if rooms.contains(&invitation.agency_id) {
                    delivery.push(Event::AgencyInvited(invitation));
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn find_conversations(&self) -> Result<()> {
        let Inner { client, rooms, delivery, me, .. } = &*self.inner;
        for dm in self.dms()? {
            let id = &dm.agency_id;
            if rooms.contains(id) || rooms.has_left(id) {
                continue;
            }
            delivery.expect_from_the_beginning(id);
            match self.enter(id, About::dm(Some(&dm.participant.username))) {
                Ok(_) => delivery.begin(client, id, &me.id),
                Err(error) if error.kind() == ErrorKind::Rejected => {
                    delivery.forget(id);
                    self.report_failed_join(id, error);
                }
                Err(error) => {
                    delivery.forget(id);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
