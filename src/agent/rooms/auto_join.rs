//! Joins rooms automatically: rooms of invitations, and direct conversations that other users start.
//!
//! A thread that takes events checks whether work is due, and starts a short-lived thread for the work. So a thread
//! that waits for events never waits for a join.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent::Event;
use crate::agent::inner::AgentInner;
use crate::agent::rooms::following::{MAX_INTERVAL, MIN_INTERVAL, Task, WorkGuard};
use crate::agent::rooms::{RoomInfo, join};
use crate::deadline;
use crate::error::{ErrorKind, Result};
use crate::model::Invitation;
use crate::socket::note;
use crate::threads;

/// The pause after a failure or while the connection is down.
const RETRY_DELAY: Duration = Duration::from_secs(15);

/// Implements [`Agent::follow_invites`](crate::Agent::follow_invites).
pub(crate) fn begin_to_follow_invites(agent: &AgentInner) -> Result<()> {
    let following = &agent.following;
    if following.has_invites() {
        return Ok(());
    }
    let agencies = agent.client.agencies().list()?;
    let members = agencies.into_iter().filter(|agency| agency.is_member == Some(true));
    following.follow_invites(members.map(|agency| agency.id).collect());
    Ok(())
}

/// Implements [`Agent::follow_dms`](crate::Agent::follow_dms).
pub(crate) fn begin_to_follow_dms(agent: &AgentInner, every: Duration) -> Result<()> {
    join::join_conversations(agent)?;
    agent.following.follow_dms(every);
    Ok(())
}

/// The time at which a waiting thread must check again.
pub(crate) fn next_room_check(agent: &AgentInner) -> Option<Instant> {
    let following = &agent.following;
    following.is_active().then(|| following.next_due()).flatten()
}

/// Schedules all checks for now, because the agent may have missed an event.
pub(crate) fn check_rooms_now(agent: &AgentInner) {
    let following = &agent.following;
    if following.is_active() {
        following.schedule(Instant::now());
    }
}

/// Whether the event is an invitation that the agent hands out later, after the join.
pub(crate) fn holds_invitation(agent: &AgentInner, event: &Event) -> bool {
    let following = &agent.following;
    match event {
        Event::AgencyInvited(invitation) if following.is_active() => following.hold(invitation),
        _ => false,
    }
}

/// Hands out the invitations that the agent has not accepted. Called when the agent ends.
pub(crate) fn stop_following(agent: &AgentInner) {
    let AgentInner { following, delivery, .. } = agent;
    following.end().into_iter().for_each(|invitation| delivery.push(Event::AgencyInvited(invitation)));
}

/// Starts a thread for the work that is due, if there is any.
pub(crate) fn start_room_tasks(agent: &Arc<AgentInner>) {
    let AgentInner { following, session, .. } = &**agent;
    if !following.is_active() || following.next_due().is_none_or(|due| due > Instant::now()) {
        return;
    }
    if !following.begin_work() {
        return;
    }
    let agent = Arc::clone(agent);
    let announced = session.waker().announce();
    let work = move || {
        do_tasks(&agent);
        // Wake before `announced` is dropped: after the drop, a consumer may read without a time limit.
        agent.session.wake();
        drop(announced);
    };
    if let Err(error) = threads::start_short_lived("crustocean-rooms", work) {
        note!(session.log(), Warn, "cannot start a thread to look for rooms: {error}");
        following.schedule(deadline::after(RETRY_DELAY));
        following.end_work();
    }
}

fn do_tasks(agent: &Arc<AgentInner>) {
    let AgentInner { following, session, .. } = &**agent;
    let _working = WorkGuard(following);
    while let Some(task) = following.take(Instant::now()) {
        let done = match task {
            Task::Accept(invitation) => {
                let failed = accept(agent, &invitation);
                if following.take_from_waiting(&invitation.agency_id) {
                    hand_out(agent, invitation);
                }
                if let Some(failed) = failed {
                    agent.queue_event(failed);
                }
                Ok(())
            }
            // The connection is down. Every reconnect schedules the checks again.
            _ if !session.is_up() => {
                following.schedule(deadline::after(RETRY_DELAY));
                Ok(())
            }
            Task::FindInvites => find_invites(agent),
            Task::FindConversations => find_conversations(agent),
        };
        if let Err(error) = done {
            if !error.is_closed() {
                note!(session.log(), Warn, "cannot look for new rooms: {error}");
            }
            let wait = error.retry_after().unwrap_or(RETRY_DELAY).clamp(MIN_INTERVAL, MAX_INTERVAL);
            following.schedule(deadline::after(wait));
        }
    }
}

fn hand_out(agent: &AgentInner, invitation: Invitation) {
    agent.following.pass_on(&invitation.agency_id);
    agent.queue_event(Event::AgencyInvited(invitation));
}

/// Joins the room. Returns an event if the join fails.
fn accept(agent: &AgentInner, invitation: &Invitation) -> Option<Event> {
    let id = &invitation.agency_id;
    if agent.rooms.contains(id) {
        return None;
    }
    let about = invitation.agency.as_ref().map(RoomInfo::from).unwrap_or_default();
    match join::enter(agent, id, about.clone()) {
        Ok(_) => None,
        Err(error) if error.is_closed() => None,
        Err(error) => {
            if error.kind() != ErrorKind::Rejected {
                // The server did not reject the join, so a later check of the list accepts this agency again.
                agent.following.forget(id, deadline::after(RETRY_DELAY));
            }
            Some(join::failed_join(agent, id, &about, error))
        }
    }
}

/// Compares the list of agencies with the known agencies, and accepts new ones.
fn find_invites(agent: &AgentInner) -> Result<()> {
    let AgentInner { client, following, rooms, .. } = agent;
    for agency in client.agencies().list()? {
        let wanted = agency.is_member == Some(true) && !rooms.contains(&agency.id);
        if wanted && !rooms.has_left(&agency.id) && following.is_new(&agency.id) {
            let invitation = Invitation { agency_id: agency.id.clone(), agency: Some(agency) };
            match accept(agent, &invitation) {
                Some(failed) => agent.queue_event(failed),
                None => hand_out(agent, invitation),
            }
        }
    }
    Ok(())
}

fn find_conversations(agent: &AgentInner) -> Result<()> {
    let AgentInner { client, rooms, delivery, me, .. } = agent;
    for dm in client.dms().list()? {
        let id = &dm.agency_id;
        if rooms.contains(id) || rooms.has_left(id) {
            continue;
        }
        delivery.add_new_conversation(id);
        let about = RoomInfo::dm(Some(&dm.participant.username));
        match join::enter(agent, id, about.clone()) {
            Ok(_) => {
                delivery.hand_out_first_page(client, id, me);
                agent.session.wake_reader();
            }
            Err(error) if error.kind() == ErrorKind::Rejected => {
                agent.queue_event(join::failed_join(agent, id, &about, error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
