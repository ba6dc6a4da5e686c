//! The indicator that an agent is thinking. [`indicators`] is the state of all indicators.

mod indicators;

use std::time::Duration;

use serde::Serialize;

use indicators::Shown;
pub(crate) use indicators::ThinkingIndicators;

use crate::agent::handle::AgentHandle;
use crate::agent::inner::AgentInner;
use crate::agent::rooms::RoomHandle;
use crate::error::Error;
use crate::model::{AgencyId, UserId};

const THINKING: &str = "agent-thinking";
/// The interval that the platform's own bots use.
const EVERY: Duration = Duration::from_secs(5);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingPayload<'a> {
    agency_id: &'a AgencyId,
    thinking: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    agent_id: &'a UserId,
    username: &'a str,
    display_name: &'a str,
}

/// Shows that the agent is thinking until this guard is dropped. Returned by [`Room::thinking`](crate::Room::thinking).
///
/// ```no_run
/// # fn demo(room: &crustocean::Room) {
/// let thinking = room.thinking("searching");
/// thinking.set("reading 3 pages");
/// drop(thinking); // the indicator disappears
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the indicator disappears when this is dropped"]
pub struct Thinking {
    agent: AgentHandle,
    room: AgencyId,
    id: u64,
}

impl Thinking {
    /// Creates the guard for [`Room::thinking`](crate::Room::thinking).
    pub(crate) fn show(room: &RoomHandle, status: String) -> Self {
        let RoomHandle { agent, id: room, .. } = room;
        let mut state = agent.thinking_indicators.0.lock();
        state.next += 1;
        let id = state.next;
        match state.rooms.get_mut(room) {
            Some(shown) => {
                shown.send_status(agent, room, &status);
                shown.guards.push((id, status));
            }
            None => {
                let on = payload(agent, room, Some(&status));
                let off = payload(agent, room, None);
                match agent.session.repeat(THINKING, &on, &off, EVERY) {
                    Ok(repeating) => {
                        let guards = vec![(id, status)];
                        state.rooms.insert(room.clone(), Shown { guards, repeating });
                    }
                    Err(error) => log_unseen(&error),
                }
            }
        }
        drop(state);
        Thinking { agent: agent.clone(), room: room.clone(), id }
    }

    /// Replaces the status text.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) {
    /// let thinking = room.thinking("searching");
    /// thinking.set("reading 3 pages");
    /// # }
    /// ```
    pub fn set(&self, status: impl Into<String>) {
        let status = status.into();
        let mut state = self.agent.thinking_indicators.0.lock();
        let Some(shown) = state.rooms.get_mut(&self.room) else { return };
        let on_top = shown.guards.last().is_some_and(|(id, _)| *id == self.id);
        if on_top {
            shown.send_status(&self.agent, &self.room, &status);
        }
        if let Some(guard) = shown.guards.iter_mut().find(|(id, _)| *id == self.id) {
            guard.1 = status;
        }
    }
}

impl Shown {
    fn send_status(&self, agent: &AgentInner, room: &AgencyId, status: &str) {
        if let Err(error) = self.repeating.set(THINKING, &payload(agent, room, Some(status))) {
            log_unseen(&error);
        }
    }
}

fn log_unseen(error: &Error) {
    crate::logging::info!("cannot show the indicator in the room: {error}");
}

impl Drop for Thinking {
    fn drop(&mut self) {
        if self.agent.session.is_foreign() {
            return;
        }
        let mut state = self.agent.thinking_indicators.0.lock();
        let Some(shown) = state.rooms.get_mut(&self.room) else { return };
        let on_top = shown.guards.last().is_some_and(|(id, _)| *id == self.id);
        shown.guards.retain(|(id, _)| *id != self.id);
        match shown.guards.last() {
            // Tells the room that the agent has stopped thinking.
            None => drop(state.rooms.remove(&self.room)),
            Some((_, before)) if on_top => shown.send_status(&self.agent, &self.room, before),
            Some(_) => {}
        }
    }
}

fn payload<'a>(agent: &'a AgentInner, room: &'a AgencyId, status: Option<&'a str>) -> ThinkingPayload<'a> {
    let me = &agent.me;
    ThinkingPayload {
        agency_id: room,
        thinking: status.is_some(),
        status: status.map(str::trim).filter(|status| !status.is_empty()),
        agent_id: &me.id,
        username: &me.username,
        display_name: &me.display_name,
    }
}
