//! Joins rooms on a connection, and joins them again on a new connection.

use std::sync::Arc;
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
use crate::sync::lock::Mutex;

/// An `error` event does not name the call that failed. If the event is not about this join, the confirmation of the
/// join follows within this time.
const ERROR_GRACE: Duration = Duration::from_millis(250);

/// Joins a room on this connection and waits for the server's answer.
///
/// # Errors
/// `Rejected` with the server's text; `Timeout`; `Protocol` if the confirmation cannot be decoded; or the error of
/// the connection.
pub(crate) fn join_on(
    connection: &ConnectionHandle<'_>,
    id: &AgencyId,
    limit: Duration,
) -> Result<AgencyJoined> {
    let mut deadline = deadline::after(limit);
    let wanted = id.clone();
    let subscription = connection.subscribe(Box::new(move |event| match event.name() {
        "agency-joined" => event.first().is_ok_and(|joined: AgencyJoined| joined.agency_id == wanted),
        name => name == "error",
    }));
    connection.emit("join-agency", &JoinAgency { agency_id: id })?;
    let mut server_error = None;
    while let Some(event) = subscription.next(deadline)? {
        if event.name() != "error" {
            connection.confirm();
            return event.first().map_err(|error| {
                Error::protocol("cannot read the server's agency-joined").with_source(error)
            });
        }
        if server_error.is_none() {
            server_error = Some(error_event_text(&event));
            deadline = deadline.min(deadline::after(ERROR_GRACE));
        }
    }
    Err(match server_error {
        Some(said) => {
            let text = format!(
                "the server does not let the agent into {id}: {said} (check the id; if the agency is private, its \
                 owner adds the agent with client.agencies().add_agent(..))"
            );
            Error::new(ErrorKind::Rejected, text).with_server_message(said)
        }
        None => Error::timeout(format!("the server did not confirm the join of {id} within {limit:?}")),
    })
}

/// The host of the session. The host provides the credentials and restores the rooms.
pub(crate) struct RoomsHost {
    pub(crate) session: Arc<AgentSession>,
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) thinking_indicators: Arc<ThinkingIndicators>,
    pub(crate) join_timeout: Duration,
    /// The rooms whose join the server has not answered. The list has a room once for each connection without an
    /// answer.
    pub(crate) unanswered: Mutex<Vec<AgencyId>>,
}

/// After this number of unanswered joins, the agent gives up a room. A slow server may answer on another
/// connection. A server that never confirms one room must not keep the agent out of all other rooms.
const MAX_TIMEOUTS: usize = 3;

impl RoomsHost {
    fn is_lost(&self, id: &AgencyId, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::Rejected => true,
            ErrorKind::Timeout => {
                let mut unanswered = self.unanswered.lock();
                unanswered.push(id.clone());
                unanswered.iter().filter(|room| *room == id).count() >= MAX_TIMEOUTS
            }
            _ => false,
        }
    }
}

/// The payload of the CONNECT packet.
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
        auth.map_err(|error| Error::protocol("the session's token is not UTF-8 text").with_source(error))
    }

    /// Joins all rooms again, because the server forgets joins when the connection ends. Source: all public bots join
    /// again.
    ///
    /// The agent sends all joins at once, so that many rooms cost one round trip. Then it joins each unconfirmed room
    /// alone: with only one pending join, an `error` event is most likely about that room.
    fn restore(&self, connection: &ConnectionHandle<'_>) -> Result<()> {
        // The server has accepted the session token.
        self.session.accept(&self.session.token());
        let rooms = self.rooms.all();
        let (joined, missing) = join_together(connection, &rooms, self.join_timeout)?;
        joined.into_iter().for_each(|joined| self.rooms.note_members(joined));
        for id in missing {
            match join_on(connection, &id, self.join_timeout) {
                Ok(joined) => self.rooms.note_members(joined),
                Err(error) if self.is_lost(&id, &error) => {
                    self.rooms.lose(&id);
                    self.thinking_indicators.lose(&id);
                    connection.push(Item::NotRestored { what: id.to_string(), error });
                }
                Err(error) => return Err(error),
            }
        }
        self.unanswered.lock().clear();
        Ok(())
    }
}

/// Joins all rooms at once. Returns the joins that the server confirmed, and the rooms that the server did not
/// confirm.
///
/// # Errors
/// The error of the connection.
pub(crate) fn join_together(
    connection: &ConnectionHandle<'_>,
    rooms: &[AgencyId],
    limit: Duration,
) -> Result<(Vec<AgencyJoined>, Vec<AgencyId>)> {
    let (mut confirmed, mut missing) = (Vec::new(), rooms.to_vec());
    if missing.len() < 2 {
        return Ok((confirmed, missing));
    }
    let subscription =
        connection.subscribe(Box::new(|event| matches!(event.name(), "agency-joined" | "error")));
    for id in rooms {
        connection.emit("join-agency", &JoinAgency { agency_id: id })?;
    }
    let mut deadline = deadline::after(limit);
    while !missing.is_empty() {
        let Some(event) = subscription.next(deadline)? else { break };
        match event.first::<AgencyJoined>() {
            Ok(joined) => {
                if remove(&mut missing, &joined.agency_id) {
                    confirmed.push(joined);
                }
            }
            // The server refused at least one room. Waits a moment for the other confirmations.
            Err(_) => deadline = deadline.min(deadline::after(ERROR_GRACE)),
        }
    }
    if missing.is_empty() {
        connection.confirm();
    }
    Ok((confirmed, missing))
}

/// Removes an id from a list. Returns `false` if the list does not contain the id.
fn remove(list: &mut Vec<AgencyId>, id: &AgencyId) -> bool {
    let place = list.iter().position(|it| it == id);
    place.map(|at| list.remove(at)).is_some()
}
