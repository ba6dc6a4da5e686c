//! Which rooms the agent is in, and how it gets (back) into them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::event::complaint;
use crate::agent::outgoing::JoinAgency;
use crate::client::AgentSession;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, AgencyJoined};
use crate::socket::{Host, Interest, Item, Line};

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

    fn remove(&self, id: &AgencyId) {
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
    let deadline = Instant::now() + limit;
    let wanted = id.clone();
    let watching = line.watch(Box::new(move |event| match event.name() {
        "agency-joined" if event.first().is_ok_and(|joined: AgencyJoined| joined.agency_id == wanted) => {
            Interest::Share
        }
        "error" => Interest::Take,
        _ => Interest::No,
    }));
    line.emit("join-agency", &JoinAgency { agency_id: id })?;
    let mut doubt = None;
    loop {
        let until = doubt.as_ref().map_or(deadline, |(_, until)| deadline.min(*until));
        match watching.next(until)? {
            Some(event) if event.name() == "error" && doubt.is_none() => {
                doubt = Some((event, Instant::now() + DOUBT));
            }
            // One complaint can be about this join. The others, and that one if we are in, are the consumer's.
            Some(event) if event.name() == "error" => line.push(Item::Event(event)),
            Some(event) => {
                if let Some((about_something_else, _)) = doubt {
                    line.push(Item::Event(about_something_else));
                }
                return event.first().map_err(|error| {
                    Error::protocol("cannot read the server's agency-joined").with_source(error)
                });
            }
            None => {
                return Err(match doubt {
                    Some((event, _)) => {
                        let said = complaint(&event);
                        Error::new(
                            ErrorKind::Rejected,
                            format!("the server does not let the agent into {id}: {said}"),
                        )
                        .with_server_message(said)
                    }
                    None => Error::timeout(format!(
                        "the server did not confirm the join of {id} within {limit:?}"
                    )),
                });
            }
        }
    }
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
    fn restore(&self, line: &Line<'_>) -> Result<()> {
        for id in self.rooms.all() {
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
