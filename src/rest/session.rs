//! An agent's session. The server issues the session in exchange for the agent's token. REST and the socket use the
//! session.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{self, Arc};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Client, Credentials};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{SessionReply, User, answer};
use crate::net::http::Http;
use crate::sync::lock::Mutex;
use crate::token::{AgentToken, SessionToken};

/// The session lasts 7 days. A caller whose session is refused calls [`renew`](AgentSession::renew).
///
/// A refusal can have other reasons: some endpoints are not for agents, and servers have failures. The platform allows
/// few exchanges, and a reconnect may need one. So three limits apply. For 10 minutes, the crate does not replace a
/// session that itself replaced a refused session, unless an endpoint has accepted it. For 10 minutes, the crate
/// remembers an endpoint that refuses a new session. The crate makes at most 5 exchanges per minute.
pub(crate) struct AgentSession {
    http: Http,
    agent_token: AgentToken,
    current: Mutex<Current>,
    /// A thread holds this lock during an exchange, so that only one exchange runs at a time. Lock order: `renewing`
    /// before `current`.
    renewing: sync::Mutex<TokenExchanges>,
    /// How many exchanges have failed. A thread that waited for `renewing` sees whether an exchange failed meanwhile.
    failures: AtomicU64,
    /// Endpoints that refused a new session, with the time of the refusal.
    refusing_endpoints: Mutex<Vec<(String, Instant)>>,
}

struct TokenExchanges {
    /// The times of the exchanges in the last minute.
    times: VecDeque<Instant>,
    /// The error of the last failed exchange.
    failure: Option<Error>,
}

struct Current {
    token: SessionToken,
    user: Arc<User>,
    issued: Instant,
    /// This session replaced a session that the server refused.
    after_refusal: bool,
    /// An endpoint has accepted this session.
    accepted: bool,
}

/// How long the crate remembers that an endpoint refused a new session.
const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);
/// The most endpoints in `refusing_endpoints`. A program meets few kinds of these endpoints, but their paths contain ids.
const MAX_REFUSING: usize = 256;
/// The most exchanges in a minute. The platform allows 10, and the program may restart.
const MAX_EXCHANGES: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);

/// No `Debug`, because it contains the token.
#[derive(Serialize)]
struct Exchange<'a> {
    #[serde(rename = "agentToken")]
    agent_token: &'a str,
}

impl AgentSession {
    /// Exchanges the agent's token for the first session.
    ///
    /// # Errors
    /// `NotVerified`, `Unauthorized` and `RateLimited`. The text of the error says what to do.
    pub(crate) fn exchange(http: Http, agent_token: AgentToken) -> Result<Arc<Self>> {
        http.secrets().remember(agent_token.expose());
        let current = Mutex::new(exchange(&http, &agent_token, false)?);
        let exchanges = TokenExchanges { times: VecDeque::from([Instant::now()]), failure: None };
        let (renewing, failures) = (sync::Mutex::new(exchanges), AtomicU64::new(0));
        let refusing_endpoints = Mutex::default();
        Ok(Arc::new(AgentSession { http, agent_token, current, renewing, failures, refusing_endpoints }))
    }

    /// The agent's own account, as of the last exchange.
    pub(crate) fn user(&self) -> Arc<User> {
        Arc::clone(&self.current.lock().user)
    }

    pub(crate) fn token(&self) -> SessionToken {
        self.current.lock().token.clone()
    }

    /// Notes that an endpoint has accepted this session.
    pub(crate) fn accept(&self, token: &SessionToken) {
        let mut current = self.current.lock();
        if !current.accepted && current.token.expose() == token.expose() {
            current.accepted = true;
        }
    }

    /// Returns the token to use after the server has refused `stale`: a new token, or the token that another thread has
    /// fetched meanwhile. Returns `None` if another exchange would most likely not help. Waits for an exchange of
    /// another thread, at most for the request timeout, and shares its failure.
    ///
    /// # Errors
    /// The kinds of [`exchange`](Self::exchange); `Timeout`.
    pub(crate) fn renew(&self, stale: &SessionToken) -> Result<Option<SessionToken>> {
        let failures = self.failures.load(Ordering::SeqCst);
        let limit = self.http.request_timeout();
        let Some(mut exchanges) = deadline::lock(&self.renewing, deadline::after(limit)) else {
            return Err(Error::timeout(format!("another call has not renewed the session within {limit:?}")));
        };
        {
            let current = self.current.lock();
            if current.token.expose() != stale.expose() {
                return Ok(Some(current.token.clone()));
            }
            if current.after_refusal && !current.accepted && current.issued.elapsed() < REMEMBERED_FOR {
                return Ok(None);
            }
        }
        if self.failures.load(Ordering::SeqCst) != failures
            && let Some(error) = &exchanges.failure
        {
            return Err(copy(error));
        }
        let times = &mut exchanges.times;
        while times.front().is_some_and(|at| at.elapsed() >= MINUTE) {
            times.pop_front();
        }
        if times.len() >= MAX_EXCHANGES {
            return Ok(None);
        }
        times.push_back(Instant::now());
        // Do not lock `current` during the exchange, so that other threads can read the user.
        match exchange(&self.http, &self.agent_token, true) {
            Ok(new) => {
                let token = new.token.clone();
                *self.current.lock() = new;
                Ok(Some(token))
            }
            Err(error) => {
                exchanges.failure = Some(copy(&error));
                self.failures.fetch_add(1, Ordering::SeqCst);
                Err(error)
            }
        }
    }

    /// Like [`renew`](Self::renew), but with an error that fits a call. The program would take most kinds and statuses
    /// of the exchange for the server's answer to the call. But the server refused the call before the exchange, so the
    /// call has changed nothing.
    ///
    /// # Errors
    /// `Unauthorized` and `NotVerified`, because the text says what to do; `Closed`; and the kinds that mean that a
    /// retry may work. Any other failure is `Connect` or `Server`.
    pub(super) fn renew_for_call(&self, stale: &SessionToken) -> Result<Option<SessionToken>> {
        self.renew(stale).map_err(|error| {
            let text = format!("the agent's session has ended and could not be renewed: {error}");
            let kind = match error.kind() {
                ErrorKind::Unauthorized | ErrorKind::NotVerified | ErrorKind::Closed => return error,
                kind
                @ (ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Timeout | ErrorKind::RateLimited) => {
                    return error.reworded(kind, text);
                }
                ErrorKind::MaybeSent => ErrorKind::Connect,
                _ => ErrorKind::Server,
            };
            let failed = Error::new(kind, text).with_retry_after(error.retry_after());
            let failed = if error.is_retryable() { failed.with_retryable() } else { failed };
            failed.with_source(error)
        })
    }

    /// Remembers that this endpoint refused a new session.
    pub(crate) fn remember_refusal(&self, endpoint: &str) {
        let mut refusing_endpoints = self.refusing_endpoints.lock();
        refusing_endpoints.retain(|(other, at)| other != endpoint && at.elapsed() < REMEMBERED_FOR);
        if refusing_endpoints.len() == MAX_REFUSING {
            refusing_endpoints.remove(0);
        }
        refusing_endpoints.push((endpoint.to_owned(), Instant::now()));
    }

    /// Whether this endpoint refuses every session.
    pub(crate) fn refuses_all(&self, endpoint: &str) -> bool {
        let refusing_endpoints = self.refusing_endpoints.lock();
        refusing_endpoints.iter().any(|(other, at)| other == endpoint && at.elapsed() < REMEMBERED_FOR)
    }
}

fn exchange(http: &Http, agent_token: &AgentToken, after_refusal: bool) -> Result<Current> {
    let nobody = Client::internal(http.clone(), Credentials::Anonymous);
    let call = nobody.post(["auth", "agent"])?.body(&Exchange { agent_token: agent_token.expose() })?;
    let reply = call.read_credential(answer::read::<SessionReply>);
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
    http.secrets().remember(reply.token.expose());
    let (token, user) = (reply.token, Arc::new(reply.user));
    Ok(Current { token, user, issued: Instant::now(), after_refusal, accepted: false })
}

/// A copy for another caller, without the cause.
fn copy(error: &Error) -> Error {
    let mut copy = Error::new(error.kind(), error.to_string()).with_retry_after(error.retry_after());
    if let Some(status) = error.status() {
        copy = copy.with_status(status);
    }
    if let Some(message) = error.server_message() {
        copy = copy.with_server_message(message);
    }
    if error.is_retryable() { copy.with_retryable() } else { copy }
}

impl fmt::Debug for AgentSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentSession").field("username", &self.user().username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
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
            config.http().unwrap()
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
        // Longer than any client would wait.
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
        assert_eq!(session.renew(&stale).unwrap().unwrap().expose(), session.token().expose());
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
    fn a_session_that_convinced_nobody_is_not_exchanged_again() {
        let owner = Owner::new();
        let session = owner.verified();
        let second = session.renew(&session.token()).unwrap().unwrap();
        assert!(session.renew(&second).unwrap().is_none());
        assert_eq!(owner.exchanges(), 2);
        // The session was accepted, and then it expired.
        session.accept(&second);
        assert!(session.renew(&second).unwrap().is_some());
        assert_eq!(owner.exchanges(), 3);
    }

    #[test]
    fn exchanges_are_few() {
        let owner = Owner::new();
        let session = owner.verified();
        for _ in 0..20 {
            session.accept(&session.token());
            session.renew(&session.token()).unwrap();
        }
        assert_eq!(owner.exchanges(), MAX_EXCHANGES);
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
