//! Joining rooms on a connection, and joining them again on a new one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::agent::event::error_event_text;
use crate::agent::rooms::registry::Rooms;
use crate::agent::send::outgoing::JoinAgency;
use crate::agent::thinking::ThinkingIndicators;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, AgencyJoined};
use crate::rest::AgentSession;
use crate::socket::{ConnectionHandle, Host, Item};

/// An `error` event does not say what it is about. If the join was good after all, its confirmation is not far behind.
const COMPLAINT_GRACE: Duration = Duration::from_millis(250);

/// Joins a room on this connection and waits for the server's word.
///
/// # Errors
/// `Rejected` with the server's words, `Timeout`, or what happened to the connection.
pub(crate) fn join_on(line: &ConnectionHandle<'_>, id: &AgencyId, limit: Duration) -> Result<AgencyJoined> {
    let mut deadline = deadline::after(limit);
    let wanted = id.clone();
    let watching = line.subscribe(Box::new(move |event| match event.name() {
        "agency-joined" => event.first().is_ok_and(|joined: AgencyJoined| joined.agency_id == wanted),
        name => name == "error",
    }));
    line.emit("join-agency", &JoinAgency { agency_id: id })?;
    let mut said = None;
    while let Some(event) = watching.next(deadline)? {
        if event.name() != "error" {
            line.confirm();
            return event.first().map_err(|error| {
                Error::protocol("cannot read the server's agency-joined").with_source(error)
            });
        }
        if said.is_none() {
            said = Some(error_event_text(&event));
            deadline = deadline.min(deadline::after(COMPLAINT_GRACE));
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
pub(crate) struct RoomsHost {
    pub(crate) session: Arc<AgentSession>,
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) thinking_indicators: Arc<ThinkingIndicators>,
    pub(crate) join_timeout: Duration,
    /// The rooms to whose join the server has said nothing at all, as often as that was so, one connection after the other.
    pub(crate) unanswered: Mutex<Vec<AgencyId>>,
}

/// A server that is slow gets another chance, on another connection. One that never says a word about one room must not
/// keep the agent out of all the others.
const CHANCES: usize = 3;

impl RoomsHost {
    fn unanswered(&self) -> MutexGuard<'_, Vec<AgencyId>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_hopeless(&self, id: &AgencyId, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::Rejected => true,
            ErrorKind::Timeout => {
                let mut unanswered = self.unanswered();
                unanswered.push(id.clone());
                unanswered.iter().filter(|room| *room == id).count() >= CHANCES
            }
            _ => false,
        }
    }
}

/// What the socket is opened with.
#[derive(Serialize)]
struct Auth<'a> {
    token: &'a str,
}

impl Host for RoomsHost {
    fn credentials(&self, refused: bool) -> Result<String> {
        let mut token = self.session.token();
        if refused && let Some(new) = self.session.renew(&token)? {
            token = new;
        }
        let auth = serde_json::to_string(&Auth { token: token.expose() });
        auth.map_err(|error| Error::protocol("the session's token is no text").with_source(error))
    }

    /// Room membership does not survive a reconnect (every public bot joins again by hand).
    ///
    /// All joins go out at once, so that many rooms cost one round trip. Those that are not confirmed together with the
    /// others are tried again one by one, because only then can a error_text be told to be about them.
    fn restore(&self, line: &ConnectionHandle<'_>) -> Result<()> {
        // The server has let us in with it.
        self.session.accept(&self.session.token());
        let rooms = self.rooms.all();
        let (joined, missing) = join_together(line, &rooms, self.join_timeout)?;
        joined.into_iter().for_each(|joined| self.rooms.note_members(joined));
        for id in missing {
            match join_on(line, &id, self.join_timeout) {
                Ok(joined) => self.rooms.note_members(joined),
                Err(error) if self.is_hopeless(&id, &error) => {
                    self.rooms.lose(&id);
                    self.thinking_indicators.lose(&id);
                    line.push(Item::NotRestored { what: id.to_string(), error });
                }
                Err(error) => return Err(error),
            }
        }
        self.unanswered().clear();
        Ok(())
    }
}

/// Joins them all at once. Returns what the server confirmed, and the rooms that it did not.
///
/// # Errors
/// What happened to the connection.
pub(crate) fn join_together(
    line: &ConnectionHandle<'_>,
    rooms: &[AgencyId],
    limit: Duration,
) -> Result<(Vec<AgencyJoined>, Vec<AgencyId>)> {
    let (mut confirmed, mut missing) = (Vec::new(), rooms.to_vec());
    if missing.len() < 2 {
        return Ok((confirmed, missing));
    }
    let watching = line.subscribe(Box::new(|event| matches!(event.name(), "agency-joined" | "error")));
    for id in rooms {
        line.emit("join-agency", &JoinAgency { agency_id: id })?;
    }
    let mut deadline = deadline::after(limit);
    while !missing.is_empty() {
        let Some(event) = watching.next(deadline)? else { break };
        match event.first::<AgencyJoined>() {
            Ok(joined) => {
                if remove(&mut missing, &joined.agency_id) {
                    confirmed.push(joined);
                }
            }
            // At least one is refused: give the others a moment.
            Err(_) => deadline = deadline.min(deadline::after(COMPLAINT_GRACE)),
        }
    }
    if missing.is_empty() {
        line.confirm();
    }
    Ok((confirmed, missing))
}

/// Takes an id off a list. False if it is not on it.
fn remove(list: &mut Vec<AgencyId>, id: &AgencyId) -> bool {
    let place = list.iter().position(|it| it == id);
    place.map(|at| list.remove(at)).is_some()
}
