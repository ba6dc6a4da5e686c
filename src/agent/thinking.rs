//! The indicator that an agent is thinking.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::agent::{Agent, Room};
use crate::error::Result;
use crate::model::{AgencyId, UserId};
use crate::socket::Repeating;

const THINKING: &str = "agent-thinking";
/// The interval that the platform's own bots use.
const EVERY: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "agencyId")]
    agency_id: &'a AgencyId,
    thinking: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(rename = "agentId")]
    agent_id: &'a UserId,
    username: &'a str,
    #[serde(rename = "displayName")]
    display_name: &'a str,
}

/// The indicators that are shown, by room.
#[derive(Debug, Default)]
pub(crate) struct ThinkingIndicators(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// A list, because only a few rooms have an indicator at a time.
    rooms: Vec<(AgencyId, Shown)>,
    next: u64,
}

#[derive(Debug)]
struct Shown {
    /// The room shows the status of the last guard.
    guards: Vec<(u64, String)>,
    repeating: Repeating,
}

impl State {
    fn of(&mut self, room: &AgencyId) -> Option<&mut Shown> {
        self.rooms.iter_mut().find(|(shown, _)| shown == room).map(|(_, shown)| shown)
    }

    fn remove(&mut self, room: &AgencyId) -> Option<Shown> {
        let at = self.rooms.iter().position(|(shown, _)| shown == room)?;
        Some(self.rooms.swap_remove(at).1)
    }
}

impl ThinkingIndicators {
    /// The lock is held during a send, so that the last status sent is the current one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all indicators of a room that the agent leaves.
    pub(crate) fn end(&self, room: &AgencyId) {
        drop(self.lock().remove(room));
    }

    pub(crate) fn end_all(&self) {
        self.lock().rooms.clear();
    }

    /// Forgets a room that the server no longer lets the agent into. A send to that room would only cause an `error`
    /// event.
    pub(crate) fn lose(&self, room: &AgencyId) {
        if let Some(shown) = self.lock().remove(room) {
            shown.repeating.abandon();
        }
    }
}

/// Shows that the agent is thinking until this guard is dropped. Returned by [`Room::thinking`].
///
/// ```no_run
/// # fn demo(room: &crustocean::Room) {
/// let thinking = room.thinking("searching");
/// thinking.set("reading 3 pages");
/// drop(thinking); // the indicator disappears
/// # }
/// ```
#[must_use = "the indicator goes out when this is dropped"]
pub struct Thinking {
    agent: Agent,
    room: AgencyId,
    id: u64,
}

impl fmt::Debug for Thinking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thinking").field("room", &self.room).finish_non_exhaustive()
    }
}

impl Thinking {
    /// Creates the guard for [`Room::thinking`].
    pub(crate) fn show(room: &Room, status: String) -> Self {
        let agent = room.agent().clone();
        let mut state = agent.inner.thinking_indicators.lock();
        state.next += 1;
        let id = state.next;
        let shown = match state.of(room.id()) {
            Some(shown) => {
                let sent = shown.send_status(&agent, room.id(), &status);
                shown.guards.push((id, status));
                sent
            }
            None => {
                let on = payload(&agent, room.id(), Some(&status));
                let off = payload(&agent, room.id(), None);
                agent.session().repeat(THINKING, &on, &off, EVERY).map(|repeating| {
                    let guards = vec![(id, status)];
                    state.rooms.push((room.id().clone(), Shown { guards, repeating }));
                })
            }
        };
        drop(state);
        if let Err(error) = shown {
            crate::logging::info!("the room does not see that the agent is thinking: {error}");
        }
        Thinking { agent, room: room.id().clone(), id }
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
        let mut state = self.agent.inner.thinking_indicators.lock();
        let Some(shown) = state.of(&self.room) else { return };
        let on_top = shown.guards.last().is_some_and(|(id, _)| *id == self.id);
        if on_top && let Err(error) = shown.send_status(&self.agent, &self.room, &status) {
            crate::logging::info!("the room does not see what the agent is thinking: {error}");
        }
        if let Some(guard) = shown.guards.iter_mut().find(|(id, _)| *id == self.id) {
            guard.1 = status;
        }
    }
}

impl Shown {
    fn send_status(&self, agent: &Agent, room: &AgencyId, status: &str) -> Result<()> {
        self.repeating.set(THINKING, &payload(agent, room, Some(status)))
    }
}

impl Drop for Thinking {
    fn drop(&mut self) {
        if self.agent.session().is_foreign() {
            return;
        }
        let mut state = self.agent.inner.thinking_indicators.lock();
        let Some(shown) = state.of(&self.room) else { return };
        let on_top = shown.guards.last().is_some_and(|(id, _)| *id == self.id);
        shown.guards.retain(|(id, _)| *id != self.id);
        match shown.guards.last() {
            None => {
                // Tells the room that the agent has stopped thinking.
                drop(state.remove(&self.room));
            }
            Some((_, before)) if on_top => {
                if let Err(error) = shown.send_status(&self.agent, &self.room, before) {
                    crate::logging::info!("the room does not see what the agent is thinking: {error}");
                }
            }
            Some(_) => {}
        }
    }
}

fn payload<'a>(agent: &'a Agent, room: &'a AgencyId, status: Option<&'a str>) -> Payload<'a> {
    let me = &agent.inner.me;
    Payload {
        agency_id: room,
        thinking: status.is_some(),
        status: status.map(str::trim).filter(|status| !status.is_empty()),
        agent_id: &me.id,
        username: &me.username,
        display_name: &me.display_name,
    }
}
