//! Which rooms the agent is in, and how it gets (back) into them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::event::complaint;
use crate::agent::outgoing::JoinAgency;
use crate::client::AgentSession;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, AgencyJoined};
use crate::socket::{Host, Item, Line};

/// The rooms in the order they were joined; the last is the current one.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Mutex<Vec<AgencyId>>);

impl Rooms {
    fn lock(&self) -> MutexGuard<'_, Vec<AgencyId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joined last, or again.
    pub(crate) fn add(&self, id: &AgencyId) {
        let mut rooms = self.lock();
        rooms.retain(|room| room != id);
        rooms.push(id.clone());
    }

    /// Joined, but not the room to speak in by default.
    pub(crate) fn add_behind(&self, id: &AgencyId) {
        let mut rooms = self.lock();
        if !rooms.contains(id) {
            rooms.insert(0, id.clone());
        }
    }

    pub(crate) fn remove(&self, id: &AgencyId) {
        self.lock().retain(|room| room != id);
    }

    pub(crate) fn contains(&self, id: &AgencyId) -> bool {
        self.lock().contains(id)
    }

    pub(crate) fn current(&self) -> Option<AgencyId> {
        self.lock().last().cloned()
    }

    pub(crate) fn all(&self) -> Vec<AgencyId> {
        self.lock().clone()
    }
}

/// An `error` event does not say what it is about. If the join was good after all, its confirmation is not far behind.
const DOUBT: Duration = Duration::from_millis(250);

/// Joins a room on this link and waits for the server's word.
///
/// # Errors
/// `Rejected` with the server's words, `Timeout`, or what happened to the link.
pub(crate) fn join_on(line: &Line<'_>, id: &AgencyId, limit: Duration) -> Result<AgencyJoined> {
    let mut deadline = Instant::now() + limit;
    let wanted = id.clone();
    let watching = line.watch(Box::new(move |event| match event.name() {
        "agency-joined" => event.first().is_ok_and(|joined: AgencyJoined| joined.agency_id == wanted),
        name => name == "error",
    }));
    line.emit("join-agency", &JoinAgency { agency_id: id })?;
    let mut said = None;
    while let Some(event) = watching.next(deadline)? {
        if event.name() != "error" {
            return event.first().map_err(|error| {
                Error::protocol("cannot read the server's agency-joined").with_source(error)
            });
        }
        if said.is_none() {
            said = Some(complaint(&event));
            deadline = deadline.min(Instant::now() + DOUBT);
        }
    }
    Err(match said {
        Some(said) => {
            let text = format!("the server does not let the agent into {id}: {said}");
            Error::new(ErrorKind::Rejected, text).with_server_message(said)
        }
        None => Error::timeout(format!("the server did not confirm the join of {id} within {limit:?}")),
    })
}

/// What the connection needs from the agent: its credentials, and its rooms put right.
pub(crate) struct Door {
    pub(crate) session: Arc<AgentSession>,
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) join_timeout: Duration,
}

impl Host for Door {
    fn credentials(&self, refused: bool) -> Result<String> {
        let mut token = self.session.token();
        if refused {
            token = self.session.renew(&token)?;
        }
        Ok(serde_json::json!({ "token": token.expose() }).to_string())
    }

    /// Room membership does not survive a reconnect (every public bot joins again by hand).
    ///
    /// All joins go out at once, so that many rooms cost one round trip. Those that are not confirmed together with the
    /// others are tried again one by one, because only then can a complaint be told to be about them.
    fn restore(&self, line: &Line<'_>) -> Result<()> {
        let rooms = self.rooms.all();
        for id in join_together(line, &rooms, self.join_timeout)? {
            match join_on(line, &id, self.join_timeout) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Rejected => {
                    self.rooms.remove(&id);
                    line.push(Item::NotRestored { what: id.to_string(), error });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Joins them all. Returns those that the server did not confirm.
fn join_together(line: &Line<'_>, rooms: &[AgencyId], limit: Duration) -> Result<Vec<AgencyId>> {
    let mut missing = rooms.to_vec();
    if missing.len() < 2 {
        return Ok(missing);
    }
    let watching = line.watch(Box::new(|event| matches!(event.name(), "agency-joined" | "error")));
    for id in rooms {
        line.emit("join-agency", &JoinAgency { agency_id: id })?;
    }
    let mut deadline = Instant::now() + limit;
    while !missing.is_empty() {
        let Some(event) = watching.next(deadline)? else { break };
        match event.first::<AgencyJoined>() {
            Ok(joined) => missing.retain(|id| *id != joined.agency_id),
            // At least one is refused: give the others a moment.
            Err(_) => deadline = deadline.min(Instant::now() + DOUBT),
        }
    }
    Ok(missing)
}
