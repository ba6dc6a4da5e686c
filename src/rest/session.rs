//! An agent's session: its token exchanged for one that REST and the socket take.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::{Client, Credentials};
use crate::error::{ErrorKind, Result};
use crate::model::{SessionReply, User, answer};
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
struct Exchange<'a> {
    #[serde(rename = "agentToken")]
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
    let reply = call.read(answer::read::<SessionReply>);
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
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentSession").field("username", &self.user().username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crustocean_sandbox::Sandbox;

    use super::*;
    use crate::config::Config;
    use crate::model::AgentId;

    struct Owner {
        sandbox: Sandbox,
        client: Client,
    }

    impl Owner {
        fn new() -> Self {
            let sandbox = Sandbox::start().unwrap();
            let login = Client::builder().api_url(sandbox.url()).register("alice", "correct horse").unwrap();
            Owner { sandbox, client: login.client }
        }

        fn http(&self) -> Http {
            let config = Config { api_url: Some(self.sandbox.url().to_owned()), ..Config::default() };
            Http::new(&config).unwrap()
        }

        fn agent(&self) -> (AgentId, AgentToken) {
            let created = self.client.agents().create("mybot").send().unwrap();
            (created.agent.id, created.agent_token)
        }

        fn verified(&self) -> Arc<AgentSession> {
            let (id, token) = self.agent();
            self.client.agents().verify(&id).unwrap();
            AgentSession::exchange(self.http(), token).unwrap()
        }

        fn exchanges(&self) -> usize {
            self.sandbox.requests().iter().filter(|line| line.contains("/api/auth/agent")).count()
        }
    }

    #[test]
    fn an_agent_is_verified_first() {
        let owner = Owner::new();
        let (id, token) = owner.agent();
        let error = AgentSession::exchange(owner.http(), token.clone()).unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::NotVerified, Some(403)));
        assert!(error.to_string().contains("agents().verify"), "{error}");
        assert!(error.server_message().is_some_and(|text| text.contains("verified")));

        owner.client.agents().verify(&id).unwrap();
        let session = AgentSession::exchange(owner.http(), token).unwrap();
        assert_eq!(session.user().username, "mybot");
        assert_eq!(session.user().id, id.as_str());
    }

    #[test]
    fn an_unknown_token_is_called_that() {
        let owner = Owner::new();
        let token: AgentToken = "sk_nobody_has_this".parse().unwrap();
        let error = AgentSession::exchange(owner.http(), token).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        let text = format!("{error} {error:?}");
        assert!(text.contains("not known") && !text.contains("nobody_has"), "{text}");
    }

    #[test]
    fn a_rate_limit_says_how_long() {
        let owner = Owner::new();
        let (_, token) = owner.agent();
        // Longer than any client would wait on its own.
        owner.sandbox.fail_next(1, 429, Some(Duration::from_secs(3600)));
        let error = AgentSession::exchange(owner.http(), token).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    }

    #[test]
    fn an_ended_session_is_renewed_behind_the_call() {
        let owner = Owner::new();
        let session = owner.verified();
        let client = Client::for_agent(owner.http(), Arc::clone(&session));
        let stale = session.token();
        assert_eq!(client.account().me().unwrap().username, "mybot");

        owner.sandbox.expire_sessions();
        assert_eq!(client.account().me().unwrap().username, "mybot");
        assert_eq!(owner.exchanges(), 2);
        assert_ne!(session.token().expose(), stale.expose());
        assert_eq!(session.renew(&stale).unwrap().expose(), session.token().expose());
        assert_eq!(owner.exchanges(), 2, "what another thread has renewed is not renewed again");
    }

    #[test]
    fn threads_renew_once() {
        let owner = Owner::new();
        let session = owner.verified();
        let client = Client::for_agent(owner.http(), Arc::clone(&session));
        owner.sandbox.expire_sessions();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| client.account().me().unwrap());
            }
        });
        assert_eq!(owner.exchanges(), 2);
    }

    #[test]
    fn a_dead_agent_token_ends_it() {
        let owner = Owner::new();
        let session = owner.verified();
        let client = Client::for_agent(owner.http(), Arc::clone(&session));
        let id = AgentId::from(session.user().id.clone());
        owner.client.agents().delete(&id).unwrap();
        let error = client.account().me().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        assert!(error.to_string().contains("agent token"), "{error}");
    }

    #[test]
    fn nothing_prints_a_token() {
        let owner = Owner::new();
        let session = owner.verified();
        let client = Client::for_agent(owner.http(), Arc::clone(&session));
        let printed = format!("{session:?} {client:?} {:?}", client.agents());
        assert!(!printed.contains(session.token().expose()) && printed.contains("mybot"), "{printed}");
    }
}
