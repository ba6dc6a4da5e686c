//! Session tokens and personal access tokens. The sandbox stores only their hashes.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids;

pub(crate) const MAX_PER_USER: usize = 10;
/// How many sessions may be open. Above this number, the session that expires first ends.
const MAX_SESSIONS: usize = 10_000;
pub(crate) const SHOWN_PREFIX: usize = 8;
/// The shortest time between two updates of `last_used_at`.
pub(crate) const USE_NOTED_EVERY_MS: u64 = 5 * 60 * 1_000;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) account: String,
    /// Milliseconds since 1970.
    pub(crate) expires: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PersonalToken {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) name: String,
    pub(crate) hash: String,
    pub(crate) prefix: String,
    pub(crate) created_at: u64,
    pub(crate) expires_at: Option<u64>,
    pub(crate) last_used_at: Option<u64>,
}

impl PersonalToken {
    fn new(account: &str, name: &str, token: &str, lifetime: Option<Duration>) -> Self {
        let created_at = clock::now_ms();
        PersonalToken {
            id: ids::uuid(),
            account: account.to_owned(),
            name: name.to_owned(),
            hash: ids::sha256(token),
            prefix: token.chars().take(SHOWN_PREFIX).collect(),
            created_at,
            expires_at: lifetime.map(|lifetime| created_at + lifetime.as_millis() as u64),
            last_used_at: None,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "prefix": self.prefix,
            "scopes": "all",
            "created_at": clock::iso(self.created_at),
            "expires_at": self.expires_at.map(clock::iso),
            "last_used_at": self.last_used_at.map(clock::iso),
        })
    }
}

/// All sessions and personal access tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) personal: Vec<PersonalToken>,
}

impl Tokens {
    /// Opens a session. Its token is hexadecimal text.
    pub(crate) fn open_session(&mut self, account: &str, ttl: Duration) -> String {
        let token = ids::hex(&ids::random::<32>());
        let now = clock::now_ms();
        self.sessions.retain(|_, session| session.expires > now);
        if self.sessions.len() >= MAX_SESSIONS
            && let Some(first) = self.sessions.iter().min_by_key(|(_, session)| session.expires)
        {
            let first = first.0.clone();
            self.sessions.remove(&first);
        }
        let session =
            Session { account: account.to_owned(), expires: now.saturating_add(ttl.as_millis() as u64) };
        self.sessions.insert(ids::sha256(&token), session);
        token
    }

    pub(crate) fn close_session(&mut self, token_hash: &str) {
        self.sessions.remove(token_hash);
    }

    /// The account behind a session token or a personal access token that is valid now.
    pub(crate) fn resolve(&self, token_hash: &str) -> Option<String> {
        let now = clock::now_ms();
        if let Some(session) = self.sessions.get(token_hash) {
            return (session.expires > now).then(|| session.account.clone());
        }
        let token = self.personal.iter().find(|token| token.hash == token_hash)?;
        token.expires_at.is_none_or(|at| at > now).then(|| token.account.clone())
    }

    /// Whether the time of a token's last use should be updated.
    pub(crate) fn is_stale(&self, token_hash: &str) -> bool {
        let now = clock::now_ms();
        let stale = |token: &PersonalToken| {
            token.last_used_at.is_none_or(|at| now.saturating_sub(at) >= USE_NOTED_EVERY_MS)
        };
        self.personal.iter().any(|token| token.hash == token_hash && stale(token))
    }

    pub(crate) fn note_use(&mut self, token_hash: &str) {
        if let Some(token) = self.personal.iter_mut().find(|token| token.hash == token_hash) {
            token.last_used_at = Some(clock::now_ms());
        }
    }

    /// Creates a personal access token that never expires.
    pub(crate) fn seed_personal(&mut self, account: &str) -> ApiResult<String> {
        Ok(self.create_personal(account, "sandbox", None)?.0)
    }

    /// Adds an existing token, or replaces its entry.
    pub(crate) fn keep_personal(&mut self, account: &str, token: &str) {
        let hash = ids::sha256(token);
        self.personal.retain(|known| known.hash != hash);
        self.personal.push(PersonalToken::new(account, "demo", token, None));
    }

    pub(crate) fn create_personal(
        &mut self,
        account: &str,
        name: &str,
        lifetime: Option<Duration>,
    ) -> ApiResult<(String, &PersonalToken)> {
        if self.personal.iter().filter(|token| token.account == account).count() >= MAX_PER_USER {
            return Err(ApiError::bad_request(format!("At most {MAX_PER_USER} tokens per user")));
        }
        let token = format!("cru_{}", ids::hex(&ids::random::<24>()));
        self.personal.push(PersonalToken::new(account, name, &token, lifetime));
        match self.personal.last() {
            Some(kept) => Ok((token, kept)),
            None => Err(ApiError::not_found("Token not found")),
        }
    }

    /// Removes all sessions and tokens of an account.
    pub(crate) fn forget(&mut self, account: &str) {
        self.sessions.retain(|_, session| session.account != account);
        self.personal.retain(|token| token.account != account);
    }

    pub(crate) fn expire_sessions(&mut self) {
        self.sessions.clear();
    }

    pub(crate) fn expire_personal(&mut self) {
        let now = clock::now_ms();
        for token in &mut self.personal {
            token.expires_at = Some(now);
        }
    }
}
