//! Joining and leaving rooms.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::agent::history::DeliverySource;
use crate::agent::inner::AgentInner;
use crate::agent::rooms::RoomInfo;
use crate::agent::rooms::baselines::Baselines;
use crate::agent::rooms::restore::{join_on, join_together};
use crate::agent::{Event, RoomRef, questions};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, AgencyJoined, Member};
use crate::socket::note;

/// A room that the agent has joined.
pub(crate) type JoinedRoom = (AgencyId, RoomInfo);

/// Implements [`Agent::join`](crate::Agent::join).
pub(crate) fn join_room(agent: &AgentInner, room: RoomRef) -> Result<JoinedRoom> {
    let (id, about) = match room {
        RoomRef::Id(id) if id.as_str().trim().is_empty() => return Err(no_name()),
        RoomRef::Id(id) => (id, None),
        RoomRef::Named(name) => resolve(agent, name.trim())?,
    };
    let about = about.or_else(|| agent.rooms.about(&id)).unwrap_or_default();
    enter(agent, &id, about).map(|about| (id, about))
}

/// Implements [`Agent::join_all`](crate::Agent::join_all).
pub(crate) fn join_memberships(agent: &AgentInner) -> Result<Vec<JoinedRoom>> {
    enter_all(agent, &|| {
        let agencies = agent.client.agencies().list()?;
        let mine = agencies.iter().filter(|agency| agency.is_member == Some(true));
        Ok(mine.map(|agency| (agency.id.clone(), RoomInfo::from(agency))).collect())
    })
}

/// Implements [`Agent::join_dms`](crate::Agent::join_dms).
pub(crate) fn join_conversations(agent: &AgentInner) -> Result<Vec<JoinedRoom>> {
    enter_all(agent, &|| {
        let rooms = agent.client.dms().list()?.into_iter();
        Ok(rooms.map(|dm| (dm.agency_id, RoomInfo::dm(Some(&dm.participant.username)))).collect())
    })
}

/// Implements [`Agent::open_dm`](crate::Agent::open_dm).
pub(crate) fn open_conversation(agent: &AgentInner, username: &str) -> Result<JoinedRoom> {
    let username = username.trim();
    let username = username.strip_prefix('@').unwrap_or(username);
    if username.is_empty() {
        return Err(Error::invalid("name the user to talk to"));
    }
    let user = agent.client.users().profile(username)?;
    let id = agent.client.dms().open(&user.id)?;
    enter(agent, &id, RoomInfo::dm(Some(&user.username))).map(|about| (id, about))
}

/// Returns the agency's id and the known information about the agency. The API accepts only ids.
fn resolve(agent: &AgentInner, slug_or_id: &str) -> Result<(AgencyId, Option<RoomInfo>)> {
    if slug_or_id.is_empty() {
        return Err(no_name());
    }
    // People write `#` before the name of a room.
    let slug_or_id = slug_or_id.strip_prefix('#').unwrap_or(slug_or_id);
    // An id needs no lookup. The list of agencies does not contain direct-message rooms.
    if looks_like_an_id(slug_or_id) {
        return Ok((slug_or_id.into(), None));
    }
    let agencies = agent.client.agencies().list()?;
    let found = agencies
        .iter()
        .find(|agency| agency.id == slug_or_id)
        .or_else(|| agencies.iter().find(|agency| agency.slug.eq_ignore_ascii_case(slug_or_id)));
    match found {
        Some(agency) => Ok((agency.id.clone(), Some(agency.into()))),
        None => Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "the agent can see no agency {slug_or_id:?}: agent.client().agencies().list() shows which it can; \
                 if it is private, its owner adds the agent with client.agencies().add_agent(..)"
            ),
        )),
    }
}

/// Joins one room while another thread reads the room's baseline. If the agent remembers, reads the baseline
/// before the join.
pub(crate) fn enter(agent: &AgentInner, id: &AgencyId, mut about: RoomInfo) -> Result<RoomInfo> {
    let AgentInner { session, delivery, client, rooms, .. } = agent;
    let source = DeliverySource { session, client };
    let baselines = Baselines::new(delivery, &source);
    let joined = thread::scope(|scope| {
        let new = prepare(agent, id, about.dm).then(|| (id.clone(), about.dm));
        baselines.start_readers(scope, usize::from(new.is_some()));
        baselines.add(new);
        let joined = (!delivery.remembers()).then(|| enter_socket(agent, id, &about));
        baselines.finish();
        joined
    });
    let joined = joined.unwrap_or_else(|| enter_socket(agent, id, &about));
    about.members = joined.inspect_err(|_| forget_unjoined(agent, [id]))?;
    delivery.complete_baseline(&source, id, about.dm);
    // If the caller gave only an id, the endpoint of the history tells whether the room is a direct conversation.
    if !about.dm && delivery.position(id).1 {
        about.dm = true;
        rooms.add(id, about.clone());
    }
    // Saves the start position of a new room.
    questions::save_memory(agent);
    Ok(about)
}

/// Prepares the join of a room. Returns `true` if the caller must read the room's baseline.
fn prepare(agent: &AgentInner, id: &AgencyId, dm: bool) -> bool {
    let AgentInner { rooms, delivery, .. } = agent;
    if rooms.has_left(id) {
        // Messages from before this join are not missed messages, so forget the old position.
        delivery.forget(id);
        rooms.forget_left(id);
    }
    delivery.add_room(id, dm)
}

fn enter_socket(agent: &AgentInner, id: &AgencyId, about: &RoomInfo) -> Result<Arc<[Member]>> {
    let AgentInner { session, rooms, options, joining, .. } = agent;
    let limit = options.join_timeout;
    let deadline = deadline::after(limit);
    let _one_at_a_time = joining.lock();
    loop {
        let connection = session.connection(deadline)?;
        match join_on(&connection, id, limit) {
            Ok(joined) => {
                let about = RoomInfo { members: joined.members.into_vec().into(), ..about.clone() };
                let members = Arc::clone(&about.members);
                rooms.add(id, about);
                // From now on, each new connection joins the room. If the connection changed before `add`, the
                // new connection did not join the room: the loop joins again.
                if connection.is_current() {
                    return Ok(members);
                }
            }
            // The connection broke. Joining twice does no harm.
            Err(error) if is_connection_error(&error) && Instant::now() < deadline => {}
            Err(error) => return Err(error),
        }
    }
}

/// Joins the rooms of a list, all at once, except rooms that the agent is in already.
fn enter_all(agent: &AgentInner, list: &dyn Fn() -> Result<Vec<JoinedRoom>>) -> Result<Vec<JoinedRoom>> {
    let AgentInner { session, client, rooms, delivery, .. } = agent;
    let source = DeliverySource { session, client };
    let baselines = Baselines::new(delivery, &source);
    let joined: Result<_> = thread::scope(|scope| {
        let _end = baselines.end_with_this();
        baselines.connect_ahead(scope);
        let wanted = list()?;
        let missing: Vec<_> = wanted.iter().filter(|(id, _)| !rooms.contains(id)).cloned().collect();
        let mut new: Vec<_> = missing.iter().map(|(id, about)| (id.clone(), about.dm)).collect();
        new.retain(|(id, dm)| prepare(agent, id, *dm));
        baselines.start_readers(scope, new.len());
        baselines.add(new);
        let confirmed = (!delivery.remembers()).then(|| enter_socket_together(agent, &missing));
        baselines.finish();
        Ok((wanted, missing, confirmed))
    });
    let (wanted, missing, confirmed) = joined?;
    let ids = || missing.iter().map(|(id, _)| id);
    let confirmed = confirmed.unwrap_or_else(|| enter_socket_together(agent, &missing));
    let mut confirmed = confirmed.inspect_err(|_| forget_unjoined(agent, ids()))?;
    let mut entered = Vec::new();
    for (id, about) in wanted.iter() {
        if let Some(at) = confirmed.iter().position(|joined| joined.agency_id == *id) {
            delivery.complete_baseline(&source, id, about.dm);
            let members = confirmed.swap_remove(at).members;
            let about = RoomInfo { members: members.into_vec().into(), ..about.clone() };
            rooms.add(id, about.clone());
            entered.push((id.clone(), about));
        } else if !ids().any(|missing| missing == id) {
            let about = rooms.about(id).unwrap_or_else(|| about.clone());
            entered.push((id.clone(), about));
        } else {
            match enter(agent, id, about.clone()) {
                Ok(about) => entered.push((id.clone(), about)),
                Err(error) if error.kind() == ErrorKind::Rejected => {
                    agent.queue_event(failed_join(agent, id, about, error))
                }
                Err(error) => {
                    forget_unjoined(agent, ids());
                    return Err(error);
                }
            }
        }
    }
    questions::save_memory(agent);
    Ok(entered)
}

/// Forgets rooms that were prepared but could not be joined.
fn forget_unjoined<'a>(agent: &AgentInner, ids: impl IntoIterator<Item = &'a AgencyId>) {
    let AgentInner { rooms, delivery, memory, .. } = agent;
    for id in ids.into_iter().filter(|id| !rooms.contains(id)) {
        // The memory keeps a room of an earlier run, whose join may work later.
        if let Some(memory) = memory.as_ref().filter(|_| !delivery.is_resumed(id)) {
            memory.forget(id);
        }
        delivery.forget(id);
    }
}

/// Joins many rooms in one round trip. Returns the confirmed joins; the caller joins the other rooms one by one.
fn enter_socket_together(agent: &AgentInner, missing: &[JoinedRoom]) -> Result<Vec<AgencyJoined>> {
    let AgentInner { session, rooms, options, joining, .. } = agent;
    if missing.len() < 2 {
        return Ok(Vec::new());
    }
    let ids: Vec<AgencyId> = missing.iter().map(|(id, _)| id.clone()).collect();
    let _one_at_a_time = joining.lock();
    let connection = session.connection(deadline::after(options.join_timeout))?;
    let confirmed = match join_together(&connection, &ids, options.join_timeout) {
        Ok((joined, _)) => joined,
        Err(error) if is_connection_error(&error) => Vec::new(),
        Err(error) => return Err(error),
    };
    for (id, about) in missing {
        if confirmed.iter().any(|joined| joined.agency_id == *id) {
            rooms.add(id, about.clone());
        }
    }
    // If the connection changed meanwhile, the new connection may not have joined these rooms. The caller then
    // joins each room again.
    Ok(if connection.is_current() { confirmed } else { Vec::new() })
}

/// Removes the room from the agent's list, and then ends the membership on the server.
pub(crate) fn leave(agent: &AgentInner, id: &AgencyId, dm: bool) -> Result<()> {
    let AgentInner { rooms, delivery, client, thinking_indicators, .. } = agent;
    thinking_indicators.end(id);
    let about = rooms.leave(id);
    delivery.forget(id);
    if let Some(memory) = &agent.memory {
        memory.forget(id);
    }
    if dm || about.is_some_and(|about| about.dm) {
        return Ok(());
    }
    client.agencies().leave(id).or_else(|error| {
        // The agent may have joined a public room without a membership. In that case the error is ignored.
        if error.status() != Some(400) {
            return Err(error);
        }
        let Ok(agencies) = client.agencies().list() else { return Err(error) };
        let is_member = agencies.iter().any(|agency| agency.id == *id && agency.is_member != Some(false));
        if is_member { Err(error) } else { Ok(()) }
    })
}

/// Removes the room and returns the event for a failed join that no caller waits for.
pub(crate) fn failed_join(agent: &AgentInner, id: &AgencyId, about: &RoomInfo, error: Error) -> Event {
    let AgentInner { rooms, delivery, session, .. } = agent;
    let name = about.name.as_deref().or(about.slug.as_deref()).unwrap_or_default();
    note!(session.log(), Warn, "cannot join {name} ({id}): {error}");
    rooms.lose(id);
    delivery.forget(id);
    let (slug, name) = (about.slug.as_deref().map(str::to_owned), about.name.as_deref().map(str::to_owned));
    Event::JoinFailed { agency_id: id.clone(), slug, name, error: Arc::new(error) }
}

fn no_name() -> Error {
    Error::invalid("name the room to join by its slug or id")
}

/// Whether the join may work on another connection.
fn is_connection_error(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Connect | ErrorKind::NotSent | ErrorKind::MaybeSent)
}

/// Ids are UUIDs. A slug of this form is very unlikely.
fn looks_like_an_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
