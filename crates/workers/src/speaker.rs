//! Says answers, each once as far as that can be told.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crustocean::agent::Room;
use crustocean::{Agent, ErrorKind, Message, Outgoing};

use crate::answer::IN_REPLY_TO;
use crate::backoff::Backoff;
use crate::connect::{self, Connect, is_passing};
use crate::lease::Term;
use crate::store::Link;

/// A process's connection to the platform, made when it is first needed and again when it has ended.
pub(crate) struct Speaker {
    /// `None`: the agent that is there is the only one.
    connect: Option<Connect>,
    /// How long before the end of a term nothing may be under way any more.
    margin: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    agent: Option<Agent>,
    joined: HashSet<String>,
}

/// Why something was not said.
#[derive(Debug)]
pub(crate) enum Unsaid {
    /// The term is over, or about to be: the next owner sees to it.
    Left,
    /// The platform does not take it.
    Failed(String),
}

impl Speaker {
    pub(crate) fn new(connect: Connect, margin: Duration) -> Self {
        Speaker { connect: Some(connect), margin, state: Mutex::default() }
    }

    /// Speaks through an agent that is connected and has joined its rooms.
    pub(crate) fn of(agent: &Agent, margin: Duration) -> Self {
        let joined = agent.rooms().iter().map(|room| room.id().as_str().to_owned()).collect();
        Speaker { connect: None, margin, state: Mutex::new(State { agent: Some(agent.clone()), joined }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn agent(&self, term: &Term) -> Result<Agent, Unsaid> {
        let mut state = self.lock();
        if let Some(agent) = &state.agent {
            return Ok(agent.clone());
        }
        let connect = self.connect.as_ref().ok_or(Unsaid::Left)?;
        match connect::patiently(connect, term, self.margin) {
            Ok(Some(agent)) => {
                state.joined.clear();
                Ok(state.agent.insert(agent).clone())
            }
            Ok(None) => Err(Unsaid::Left),
            Err(error) => Err(Unsaid::Failed(format!("the agent cannot be connected: {error}"))),
        }
    }

    fn disconnect(&self) {
        let mut state = self.lock();
        state.agent = None;
        state.joined.clear();
    }

    /// The room of a question, joined.
    pub(crate) fn room(&self, term: &Term, question: &Message) -> Result<Room, Unsaid> {
        let id = question.agency_id.as_str();
        let mut backoff = backoff();
        loop {
            let agent = self.agent(term)?;
            if self.lock().joined.contains(id) {
                return Ok(agent.room_of(question));
            }
            match agent.join(id) {
                Ok(_) => {
                    self.lock().joined.insert(id.to_owned());
                }
                Err(error) => self.after(&error, "cannot join the room", term, &mut backoff)?,
            }
        }
    }

    /// Whether the room has an answer to a question.
    pub(crate) fn is_answered(&self, term: &Term, room: &Room, question: &Message) -> Result<bool, Unsaid> {
        let mut backoff = backoff();
        loop {
            match find_answer(&self.agent(term)?, room, question) {
                Ok(found) => return Ok(found),
                Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound) => {
                    log::warn!("whether {} has an answer cannot be told: {error}", question.id);
                    return Ok(false);
                }
                Err(error) => self.after(&error, "cannot read the room's history", term, &mut backoff)?,
            }
        }
    }

    /// Says an answer and waits until the room has it. Nothing is said when the term is over.
    pub(crate) fn say(
        &self,
        term: &Term,
        link: &mut Link,
        question: &Message,
        answer: &Outgoing,
    ) -> Result<(), Unsaid> {
        let (mut backoff, mut rejoined) = (backoff(), false);
        loop {
            let room = self.room(term, question)?;
            // As late as can be: the process may have been stopped for longer than the term.
            if matches!(term.verify(link), Ok(false)) {
                term.lose();
            }
            if !term.is_held() {
                return Err(Unsaid::Left);
            }
            let error = match room.post(answer.clone()) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::MaybeSent | ErrorKind::Timeout if self.is_answered(term, &room, question)? => {
                    return Ok(());
                }
                // The server does not say why: the agent may not be in the room any more.
                ErrorKind::Rejected if !rejoined => {
                    rejoined = true;
                    self.lock().joined.remove(question.agency_id.as_str());
                }
                _ => self.after(&error, "the room does not take the answer", term, &mut backoff)?,
            }
        }
    }

    /// Waits before the next try, if that may be of use.
    fn after(
        &self,
        error: &crustocean::Error,
        what: &str,
        term: &Term,
        backoff: &mut Backoff,
    ) -> Result<(), Unsaid> {
        let is_over = matches!(error.kind(), ErrorKind::Closed | ErrorKind::Unauthorized);
        if is_over {
            self.disconnect();
        } else if !is_passing(error) {
            return Err(Unsaid::Failed(format!("{what}: {error}")));
        }
        log::warn!("{what}: {error}");
        term.wait_end(error.retry_after().unwrap_or_else(|| backoff.next()));
        if term.goes_on() { Ok(()) } else { Err(Unsaid::Left) }
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(50), Duration::from_secs(5))
}

/// Clocks of the platform's servers may differ.
const SLACK: Duration = Duration::from_secs(60);

fn find_answer(agent: &Agent, room: &Room, question: &Message) -> crustocean::Result<bool> {
    let asked = question.created_at.to_system_time();
    for message in room.history().limit(100).iter() {
        let message = message?;
        if message.sender_id == agent.user().id
            && message.metadata.get(IN_REPLY_TO).is_some_and(|id| id == question.id.as_str())
        {
            return Ok(true);
        }
        let said = message.created_at.to_system_time();
        if message.id == question.id || asked.zip(said).is_some_and(|(asked, said)| said + SLACK < asked) {
            // An answer comes after its question.
            return Ok(false);
        }
    }
    Ok(false)
}
