//! Which rooms the agent is in, and how it gets (back) into them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::agent::event::complaint_of;
use crate::agent::send::outgoing::JoinAgency;
use crate::agent::thinking::Thoughts;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Agency, AgencyId, AgencyJoined, Member};
use crate::rest::AgentSession;
use crate::socket::{ConnectionHandle, Host, Item};

/// What is known of a room besides its id.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) slug: Option<Arc<str>>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) dm: bool,
    /// Who was in it when it was joined last.
    pub(crate) members: Arc<[Member]>,
}

impl About {
    /// A conversation with this user.
    pub(crate) fn dm(with: Option<&str>) -> Self {
        About { name: with.map(Arc::from), dm: true, ..About::default() }
    }
}

impl From<&Agency> for About {
    fn from(agency: &Agency) -> Self {
        let known = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
        About { slug: known(&agency.slug), name: known(&agency.name), ..About::default() }
    }
}

#[derive(Debug)]
struct Joined {
    id: AgencyId,
    about: About,
}

/// The rooms that the agent is in.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    state: Mutex<State>,
    /// Whether there is anything in `left`: most agents never leave, and every event asks.
    any_left: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// In the order they were joined.
    joined: Vec<Joined>,
    /// Left lately. The server may go on sending their events over the link that was up then.
    left: Vec<AgencyId>,
}

/// What was left before that is old news to the server, too.
const MOST_LEFT: usize = 256;

impl State {
    fn place(&self, id: &AgencyId) -> Option<usize> {
        self.joined.iter().position(|room| room.id == *id)
    }

    fn find(&self, id: &AgencyId) -> Option<&Joined> {
        self.joined.get(self.place(id)?)
    }

    fn remove(&mut self, id: &AgencyId) -> Option<Joined> {
        self.place(id).map(|at| self.joined.remove(at))
    }
}

/// Takes an id off a list. False if it is not on it.
fn strike(list: &mut Vec<AgencyId>, id: &AgencyId) -> bool {
    let place = list.iter().position(|it| it == id);
    place.map(|at| list.remove(at)).is_some()
}

impl Rooms {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joined, or joined again: keeps its place in the order, and what is known of it.
    pub(crate) fn add(&self, id: &AgencyId, about: About) {
        self.expect(id);
        let mut state = self.lock();
        let known = state.place(id);
        match known.and_then(|at| state.joined.get_mut(at)) {
            Some(room) => room.about = about.or(&room.about),
            None => state.joined.push(Joined { id: id.clone(), about }),
        }
    }

    /// Joined again.
    fn note_members(&self, joined: AgencyJoined) {
        let mut state = self.lock();
        let place = state.place(&joined.agency_id);
        if let Some(room) = place.and_then(|at| state.joined.get_mut(at))
            && !joined.members.is_empty()
        {
            room.about.members = joined.members.into_vec().into();
        }
    }

    /// About to be joined: what the server sends from there is wanted again.
    pub(crate) fn expect(&self, id: &AgencyId) {
        if self.any_left.load(Ordering::Acquire) {
            let mut state = self.lock();
            strike(&mut state.left, id);
            self.any_left.store(!state.left.is_empty(), Ordering::Release);
        }
    }

    /// The server does not let the agent in any more.
    pub(crate) fn lose(&self, id: &AgencyId) {
        drop(self.lock().remove(id));
    }

    /// The agent does not want to be in it any more. What is known of it, if it was.
    pub(crate) fn leave(&self, id: &AgencyId) -> Option<About> {
        let mut state = self.lock();
        let room = state.remove(id)?;
        if state.left.len() == MOST_LEFT {
            state.left.remove(0);
        }
        state.left.push(room.id);
        self.any_left.store(true, Ordering::Release);
        Some(room.about)
    }

    pub(crate) fn has_left(&self, id: &AgencyId) -> bool {
        self.any_left.load(Ordering::Acquire) && self.lock().left.contains(id)
    }

    pub(crate) fn contains(&self, id: &AgencyId) -> bool {
        self.lock().place(id).is_some()
    }

    pub(crate) fn about(&self, id: &AgencyId) -> Option<About> {
        self.lock().find(id).map(|room| room.about.clone())
    }

    pub(crate) fn all(&self) -> Vec<AgencyId> {
        self.lock().joined.iter().map(|room| room.id.clone()).collect()
    }

    pub(crate) fn all_with_about(&self) -> Vec<(AgencyId, About)> {
        self.lock().joined.iter().map(|room| (room.id.clone(), room.about.clone())).collect()
    }
}

impl About {
    /// What this does not know, from before.
    fn or(self, before: &About) -> Self {
        About {
            slug: self.slug.or_else(|| before.slug.clone()),
            name: self.name.or_else(|| before.name.clone()),
            dm: self.dm || before.dm,
            members: if self.members.is_empty() { Arc::clone(&before.members) } else { self.members },
        }
    }
}

/// An `error` event does not say what it is about. If the join was good after all, its confirmation is not far behind.
const DOUBT: Duration = Duration::from_millis(250);

/// Joins a room on this link and waits for the server's word.
///
/// # Errors
/// `Rejected` with the server's words, `Timeout`, or what happened to the link.
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
            said = Some(complaint_of(&event));
            deadline = deadline.min(deadline::after(DOUBT));
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
    pub(crate) thoughts: Arc<Thoughts>,
    pub(crate) join_timeout: Duration,
    /// The rooms to whose join the server has said nothing at all, as often as that was so, one link after the other.
    pub(crate) unanswered: Mutex<Vec<AgencyId>>,
}

/// A server that is slow gets another chance, on another link. One that never says a word about one room must not
/// keep the agent out of all the others.
const CHANCES: usize = 3;

impl Door {
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

impl Host for Door {
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
    /// others are tried again one by one, because only then can a complaint be told to be about them.
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
                    self.thoughts.lose(&id);
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
/// What happened to the link.
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
                if strike(&mut missing, &joined.agency_id) {
                    confirmed.push(joined);
                }
            }
            // At least one is refused: give the others a moment.
            Err(_) => deadline = deadline.min(deadline::after(DOUBT)),
        }
    }
    if missing.is_empty() {
        line.confirm();
    }
    Ok((confirmed, missing))
}
