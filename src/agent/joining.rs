//! Getting into rooms.

use std::sync::PoisonError;
use std::time::Instant;

use crate::agent::rooms::join_on;
use crate::agent::{Agent, Inner, Room};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, AgencyJoined, Conversation};

impl Agent {
    /// Joins a room, named by its slug or its id, and waits until the server confirms it. It becomes the room that
    /// [`send`](Agent::send) speaks in.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when no agency has that slug or id, [`Rejected`](ErrorKind::Rejected) with the
    /// server's words when it does not let the agent in, [`Timeout`](ErrorKind::Timeout) when it says nothing.
    pub fn join(&self, slug_or_id: impl AsRef<str>) -> Result<Room> {
        let id = self.resolve(slug_or_id.as_ref().trim())?;
        let joined = self.enter(&id, false)?;
        Ok(Room::new(self.clone(), id, joined.members))
    }

    /// The id of the agency that is meant. The API wants ids only.
    fn resolve(&self, slug_or_id: &str) -> Result<AgencyId> {
        if slug_or_id.is_empty() {
            return Err(Error::invalid("name the room to join by its slug or id"));
        }
        // Direct-message rooms are in no list, and an id needs none.
        if looks_like_an_id(slug_or_id) {
            return Ok(slug_or_id.into());
        }
        let agencies = self.inner.client.agencies().list()?;
        let found = agencies
            .iter()
            .find(|agency| agency.id == slug_or_id)
            .or_else(|| agencies.iter().find(|agency| agency.slug.eq_ignore_ascii_case(slug_or_id)));
        match found {
            Some(agency) => Ok(agency.id.clone()),
            None => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "the agent can see no agency {slug_or_id:?}: agent.client().agencies().list() shows which it can; \
                     if it is private, its owner adds the agent with client.agencies().add_agent(..)"
                ),
            )),
        }
    }

    /// Joins a room and keeps it. A direct conversation does not become the room to speak in.
    pub(crate) fn enter(&self, id: &AgencyId, dm: bool) -> Result<AgencyJoined> {
        let Inner { feed, client, .. } = &*self.inner;
        // Before, because what is said between this and the join must not fall between two stools.
        feed.before_join(client, id, dm);
        let joined = self.enter_socket(id, dm)?;
        feed.after_join(client, id, dm);
        Ok(joined)
    }

    fn enter_socket(&self, id: &AgencyId, dm: bool) -> Result<AgencyJoined> {
        let Inner { session, rooms, joining, options, .. } = &*self.inner;
        let limit = options.join_timeout;
        let deadline = Instant::now() + limit;
        let _one_at_a_time = joining.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = rooms.contains(id);
        loop {
            let joined = session.line(deadline).and_then(|line| {
                let joined = join_on(&line, id, limit)?;
                if dm {
                    rooms.add_behind(id);
                } else {
                    rooms.add(id);
                }
                // A link that came up before that was not told of the room.
                if line.is_latest() { Ok(Some(joined)) } else { Ok(None) }
            });
            match joined {
                Ok(Some(joined)) => return Ok(joined),
                Ok(None) => {}
                // The link broke meanwhile. To join twice does no harm.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Connect | ErrorKind::NotSent | ErrorKind::MaybeSent
                    ) && Instant::now() < deadline => {}
                Err(error) => {
                    if !kept {
                        rooms.remove(id);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The rooms that the agent is in, direct messages included, in the order they were joined.
    pub fn rooms(&self) -> Vec<Room> {
        self.inner.rooms.all().into_iter().map(|id| Room::new(self.clone(), id, Vec::new())).collect()
    }

    /// The agent's direct-message conversations.
    ///
    /// # Errors
    /// Those of any REST call.
    pub fn dms(&self) -> Result<Vec<Conversation>> {
        self.inner.client.dms().list()
    }

    /// Joins the rooms of all direct-message conversations there are now, so that their messages arrive as events. Call
    /// it again, every few minutes say, for conversations that were begun since: the platform does not announce them.
    /// The room
    /// that [`send`](Agent::send) speaks in stays the same.
    ///
    /// # Errors
    /// The first that occurs; the other rooms are joined nevertheless.
    pub fn join_dms(&self) -> Result<Vec<Room>> {
        let mut rooms = Vec::new();
        let mut first_error = None;
        for dm in self.dms()? {
            match self.enter(&dm.agency_id, true) {
                Ok(joined) => rooms.push(Room::new(self.clone(), dm.agency_id, joined.members)),
                Err(error) if error.is_closed() => return Err(error),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(rooms), Err)
    }
}

/// Ids are UUIDs; a slug of this form would be a strange coincidence.
fn looks_like_an_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
