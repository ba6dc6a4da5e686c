//! An agent's session: its token exchanged for one that REST and the socket take.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::{Client, Credentials};
use crate::error::{ErrorKind, Result};
use crate::model::{SessionReply, User};
use crate::net::http::Http;
use crate::token::{AgentToken, SessionToken};

/// The session lives 7 days; whoever sees it refused calls [`renew`](AgentSession::renew).
pub(crate) struct AgentSession {
    http: Http,
    agent_token: AgentToken,
    current: Mutex<Current>,
    /// Held during an exchange, so that there is one at a time. Taken before `current`, never the other way round.
    renewing: Mutex<()>,
}

struct Current {
    token: SessionToken,
    user: Arc<User>,
}

/// No `Debug`: it holds the token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exchange<'a> {
    agent_token: &'a str,
}

impl AgentSession {
    /// # Errors
    /// `NotVerified`, `Unauthorized` and `RateLimited` say what to do about it.
    pub(crate) fn exchange(http: Http, agent_token: AgentToken) -> Result<Arc<Self>> {
        let current = Mutex::new(exchange(&http, &agent_token)?);
        Ok(Arc::new(AgentSession { http, agent_token, current, renewing: Mutex::new(()) }))
    }

    /// The agent's own account, as of the last exchange.
    pub(crate) fn user(&self) -> Arc<User> {
        Arc::clone(&self.current().user)
    }

    pub(crate) fn token(&self) -> SessionToken {
        self.current().token.clone()
    }

    /// A token to go on with after `stale` was refused: a new one, or the one that another thread has fetched since.
    ///
    /// # Errors
    /// As [`exchange`](Self::exchange).
    pub(crate) fn renew(&self, stale: &SessionToken) -> Result<SessionToken> {
        let _one_at_a_time = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        let token = self.token();
        if token.expose() != stale.expose() {
            return Ok(token);
        }
        // `current` is not locked meanwhile: others may ask who they are.
        let new = exchange(&self.http, &self.agent_token)?;
        let token = new.token.clone();
        *self.current() = new;
        Ok(token)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn exchange(http: &Http, agent_token: &AgentToken) -> Result<Current> {
    let nobody = Client::with(http.clone(), Credentials::Anonymous);
    let call = nobody.post(["auth", "agent"])?.body(&Exchange { agent_token: agent_token.expose() })?;
    let reply = call.whole::<SessionReply>();
    let reply = reply.map_err(|error| match error.status() {
        Some(401) => error.reworded(
            ErrorKind::Unauthorized,
            "the agent token is not known: a token is shown once, when the agent is created; \
             if it is lost, create the agent again",
        ),
        Some(403) => error.reworded(
            ErrorKind::NotVerified,
            "the agent is not verified: its owner calls client.agents().verify(&id) once",
        ),
        _ => error,
    })?;
    Ok(Current { token: reply.token, user: Arc::new(reply.user) })
}

impl fmt::Debug for AgentSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentSession").field("username", &self.user().username).finish_non_exhaustive()
    }
}
