//! Posts answers. Each answer appears once in a room whose history the agent may read.

use std::collections::HashSet;
use std::error::Error as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crustocean::agent::{Room, Unsent};
use crustocean::{Agent, ErrorKind, Message, Outgoing};

use crate::answer::IN_REPLY_TO;
use crate::backoff::Backoff;
use crate::connect::{self, Connect, is_transient};
use crate::connection::RedisConnection;
use crate::lease::Term;

/// Posts answers through one agent. Connects the agent at the first answer, and again after the connection has ended.
pub(crate) struct AnswerSender {
    /// Connects the agent. `None`: the sender uses the given agent only.
    connect: Option<Connect>,
    /// How long before the end of a term the last request must be done.
    margin: Duration,
    state: Mutex<State>,
    connected: Condvar,
}

#[derive(Default)]
struct State {
    agent: Option<Agent>,
    joined: HashSet<String>,
    /// A thread connects the agent; the others wait for it.
    connecting: bool,
}

/// Why an answer was not posted.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// The term has ended or ends soon: the next owner handles the question.
    TermEnded,
    /// The agent cannot post the answer, for this reason.
    Failed(String),
}

impl AnswerSender {
    pub(crate) fn new(connect: Connect, margin: Duration) -> Self {
        AnswerSender { connect: Some(connect), margin, state: Mutex::default(), connected: Condvar::new() }
    }

    /// Posts through an agent that is connected and has joined its rooms.
    pub(crate) fn through(agent: &Agent, margin: Duration) -> Self {
        let joined = agent.rooms().iter().map(|room| room.id().as_str().to_owned()).collect();
        AnswerSender {
            connect: None,
            margin,
            state: Mutex::new(State { agent: Some(agent.clone()), joined, connecting: false }),
            connected: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn agent(&self, term: &Term) -> Result<Agent, NotSent> {
        let mut state = self.lock();
        while state.agent.is_none() && state.connecting {
            if !term.should_continue() {
                return Err(NotSent::TermEnded);
            }
            // Wait only a short time, because the end of the term does not wake this thread.
            let wait = Duration::from_millis(50);
            state = self.connected.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some(agent) = &state.agent {
            return Ok(agent.clone());
        }
        let connect = self.connect.as_ref().ok_or(NotSent::TermEnded)?;
        state.connecting = true;
        drop(state);
        let connected = connect::connect_with_retry(connect, term, self.margin);
        let mut state = self.lock();
        state.connecting = false;
        self.connected.notify_all();
        match connected {
            Ok(Some(agent)) => {
                state.joined.clear();
                Ok(state.agent.insert(agent).clone())
            }
            Ok(None) => Err(NotSent::TermEnded),
            Err(error) => Err(NotSent::Failed(format!("cannot connect the agent: {error}"))),
        }
    }

    fn disconnect(&self) {
        let mut state = self.lock();
        state.agent = None;
        state.joined.clear();
    }

    /// The room of a question. Joins it if necessary.
    pub(crate) fn room(&self, term: &Term, question: &Message) -> Result<Room, NotSent> {
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
                Err(error) => self.wait_before_retry(&error, "cannot join the room", term, &mut backoff)?,
            }
        }
    }

    /// Whether the room's history has an answer to a question.
    pub(crate) fn is_answered(&self, term: &Term, room: &Room, question: &Message) -> Result<bool, NotSent> {
        let mut backoff = backoff();
        loop {
            match find_answer(&self.agent(term)?, room, question) {
                Ok(found) => return Ok(found),
                Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound) => {
                    crate::logging::record!(
                        Warn,
                        "cannot check whether {} has an answer: {error}",
                        question.id
                    );
                    return Ok(false);
                }
                Err(error) => {
                    self.wait_before_retry(&error, "cannot read the room's history", term, &mut backoff)?
                }
            }
        }
    }

    /// Posts an answer and waits until the room has it. Posts nothing when the term has ended.
    pub(crate) fn post(
        &self,
        term: &Term,
        redis: &mut RedisConnection,
        question: &Message,
        answer: &Outgoing,
    ) -> Result<(), NotSent> {
        let (mut backoff, mut rejoined) = (backoff(), false);
        // The answer from the last attempt, if the agent can look for it in the room before it sends it again.
        let mut unsent: Option<Unsent> = None;
        loop {
            let room = self.room(term, question)?;
            if unsent.as_ref().is_some_and(Unsent::may_have_been_sent) {
                self.wait_for_late_answer(term, &room, question)?;
            }
            let agent = self.agent(term)?;
            // Check the term as late as possible, because the process may have been suspended for longer than its term.
            if matches!(term.verify(redis), Ok(false)) {
                term.lose();
            }
            if !term.is_held() {
                return Err(NotSent::TermEnded);
            }
            let posted = match &unsent {
                // `repost` first looks for the answer in the room.
                Some(unsent) => agent.repost(unsent),
                None => room.post(answer.clone()),
            };
            let Err(error) = posted else { return Ok(()) };
            unsent = error.unsent().filter(|_| !is_history_closed(&error)).cloned();
            match error.kind() {
                // The server gives no reason. One possible reason is that the agent is no longer in the room.
                ErrorKind::Rejected if !rejoined => {
                    rejoined = true;
                    self.lock().joined.remove(question.agency_id.as_str());
                }
                _ => self.wait_before_retry(&error, "the room refuses the answer", term, &mut backoff)?,
            }
        }
    }

    /// Waits until the room shows an answer that the server may still get, or until the answer is certainly lost.
    fn wait_for_late_answer(&self, term: &Term, room: &Room, question: &Message) -> Result<(), NotSent> {
        let (started, mut backoff) = (Instant::now(), backoff());
        while started.elapsed() < LATEST && !self.is_answered(term, room, question)? {
            // Wait here and not in `repost`, which does not know the term.
            term.wait_for_end(backoff.next());
            if !term.should_continue() {
                return Err(NotSent::TermEnded);
            }
        }
        Ok(())
    }

    /// Waits before the next attempt, or returns an error if another attempt is useless.
    fn wait_before_retry(
        &self,
        error: &crustocean::Error,
        what: &str,
        term: &Term,
        backoff: &mut Backoff,
    ) -> Result<(), NotSent> {
        let needs_reconnect = matches!(error.kind(), ErrorKind::Closed | ErrorKind::Unauthorized);
        if needs_reconnect {
            self.disconnect();
        } else if !is_transient(error) {
            return Err(NotSent::Failed(format!("{what}: {error}")));
        }
        crate::logging::record!(Warn, "{what}: {error}");
        term.wait_for_end(error.retry_after().unwrap_or_else(|| backoff.next()));
        if term.should_continue() { Ok(()) } else { Err(NotSent::TermEnded) }
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(50), Duration::from_secs(5))
}

/// How long the server may still accept a message from a connection that broke: `pingInterval` plus `pingTimeout`,
/// usually 45 s.
const LATEST: Duration = Duration::from_secs(45);

/// Whether the agent may not read the room's history, so that it cannot look for an answer there.
fn is_history_closed(error: &crustocean::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<crustocean::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), ErrorKind::Forbidden | ErrorKind::NotFound))
}

/// By how much the clocks of the platform's servers may differ.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

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
        if message.id == question.id
            || asked.zip(said).is_some_and(|(asked, said)| said + CLOCK_DIFFERENCE < asked)
        {
            // From here on all messages are older than the question.
            return Ok(false);
        }
    }
    Ok(false)
}
