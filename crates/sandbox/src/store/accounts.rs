//! Accounts: users and agents, because both send messages and are members.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids::{self, PasswordHash};

/// The additional data of an agent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Agent {
    /// `None` for an agent that registered itself and that nobody has claimed yet.
    pub(crate) owner: Option<String>,
    pub(crate) verified: bool,
    pub(crate) token_hash: String,
    pub(crate) config: Map<String, Value>,
    /// Settings for one agency, which override the others.
    #[serde(default)]
    pub(crate) agency_config: HashMap<String, Map<String, Value>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) display_name: String,
    pub(crate) description: Option<String>,
    /// Avatar, banner, theme and font, stored unchanged. Older data have another name for it.
    #[serde(alias = "looks")]
    pub(crate) profile: Map<String, Value>,
    pub(crate) created_at: u64,
    pub(crate) password: Option<PasswordHash>,
    pub(crate) agent: Option<Agent>,
    pub(crate) following: HashSet<String>,
    pub(crate) wallet: Option<String>,
    /// The reported payments of the last day: time, and amount in millionths.
    pub(crate) spent: Vec<(u64, u64)>,
    pub(crate) order: u64,
}

impl Account {
    /// `"user"` or `"agent"`.
    pub(crate) fn kind(&self) -> &'static str {
        if self.agent.is_some() { "agent" } else { "user" }
    }

    pub(crate) fn is_owned_by(&self, user: &str) -> bool {
        self.agent.as_ref().is_some_and(|agent| agent.owner.as_deref() == Some(user))
    }

    /// A key of an agent's configuration.
    pub(crate) fn setting(&self, key: &str) -> Option<&Value> {
        self.agent.as_ref()?.config.get(key)
    }

    /// `role` of an agent's configuration; the platform's default is `General`.
    pub(crate) fn role(&self) -> &str {
        let default = if self.agent.is_some() { "General" } else { "user" };
        self.setting("role").and_then(Value::as_str).unwrap_or(default)
    }

    /// The user object of a session and of a profile, with the field names of the JavaScript clients.
    pub(crate) fn json(&self) -> Value {
        let value = |key: &str| self.profile.get(key).cloned().unwrap_or(Value::Null);
        let mut user = json!({
            "id": self.id,
            "username": self.username,
            "display_name": self.display_name,
            // The SDK's README uses `displayName` of the session's user, its code uses `display_name`.
            "displayName": self.display_name,
            "type": self.kind(),
            "role": self.role(),
            "description": self.description,
            "avatar": value("avatar"),
            "banner": value("banner"),
            "theme": value("theme"),
            "font": value("font"),
            "created_at": clock::iso(self.created_at),
        });
        if let (Some(_), Some(user)) = (&self.agent, user.as_object_mut()) {
            let persona = self.setting("personality").cloned().unwrap_or(Value::Null);
            user.insert("persona".to_owned(), persona);
        }
        user
    }

    /// The agent object of the owner's endpoints.
    pub(crate) fn agent_json(&self) -> Value {
        json!({
            "id": self.id,
            "username": self.username,
            "name": self.display_name,
            "display_name": self.display_name,
            "role": self.role(),
            "personality": self.setting("personality"),
            "verified": self.agent.as_ref().is_some_and(|agent| agent.verified),
            "owner_id": self.agent.as_ref().and_then(|agent| agent.owner.as_deref()),
            "created_at": clock::iso(self.created_at),
        })
    }
}

/// All accounts, with a lookup by id and by username (ignoring case).
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    pub(crate) by_id: HashMap<String, Account>,
    pub(crate) by_name: HashMap<String, String>,
    pub(crate) created: u64,
}

/// A limit, so that a client that registers in a loop does not fill the memory.
const MAX_ACCOUNTS: usize = 10_000;

/// Checks that a username has 2 to 24 letters, digits, `_` and `-`.
pub(crate) fn check_username(username: &str) -> ApiResult<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (2..=24).contains(&username.len()) && username.chars().all(allowed) {
        return Ok(());
    }
    Err(ApiError::bad_request("Username must be 2-24 characters: letters, digits, _ and -"))
}

pub(crate) fn check_password(password: &str) -> ApiResult<()> {
    if password.chars().count() >= 8 {
        return Ok(());
    }
    Err(ApiError::bad_request("Password must be at least 8 characters"))
}

impl Accounts {
    pub(crate) fn add(
        &mut self,
        username: &str,
        display_name: &str,
        password: Option<&str>,
        agent: Option<Agent>,
    ) -> ApiResult<&Account> {
        check_username(username)?;
        let key = username.to_lowercase();
        if self.by_name.contains_key(&key) {
            return Err(ApiError::conflict("Username already taken"));
        }
        if self.by_id.len() >= MAX_ACCOUNTS {
            return Err(ApiError::bad_request(format!("The sandbox keeps at most {MAX_ACCOUNTS} accounts")));
        }
        self.created += 1;
        let id = ids::uuid();
        self.by_name.insert(key, id.clone());
        let account = Account {
            id: id.clone(),
            username: username.to_owned(),
            display_name: display_name.to_owned(),
            description: None,
            profile: Map::new(),
            created_at: clock::now_ms(),
            password: password.map(PasswordHash::new),
            agent,
            following: HashSet::new(),
            wallet: None,
            spent: Vec::new(),
            order: self.created,
        };
        Ok(self.by_id.entry(id).or_insert(account))
    }

    pub(crate) fn get(&self, id: &str) -> ApiResult<&Account> {
        self.by_id.get(id).ok_or_else(|| ApiError::not_found("User not found"))
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> ApiResult<&mut Account> {
        self.by_id.get_mut(id).ok_or_else(|| ApiError::not_found("User not found"))
    }

    /// Finds an account by username, with or without `@`.
    pub(crate) fn find(&self, username: &str) -> Option<&Account> {
        let name = username.trim().trim_start_matches('@').to_lowercase();
        self.by_id.get(self.by_name.get(&name)?)
    }

    /// Restores a saved account.
    pub(crate) fn restore(&mut self, account: Account) {
        self.created = self.created.max(account.order);
        self.by_name.insert(account.username.to_lowercase(), account.id.clone());
        self.by_id.insert(account.id.clone(), account);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        if let Some(account) = self.by_id.remove(id) {
            self.by_name.remove(&account.username.to_lowercase());
        }
    }

    /// All accounts in the order of creation.
    pub(crate) fn all(&self) -> Vec<&Account> {
        let mut all: Vec<&Account> = self.by_id.values().collect();
        all.sort_by_key(|account| account.order);
        all
    }

    pub(crate) fn agent_of_token(&self, token_hash: &str) -> Option<&Account> {
        self.by_id
            .values()
            .find(|account| account.agent.as_ref().is_some_and(|agent| agent.token_hash == token_hash))
    }

    /// An agent, if `user` is its owner.
    pub(crate) fn owned_agent(&mut self, id: &str, user: &str) -> ApiResult<&mut Account> {
        let agent = self.by_id.get_mut(id).filter(|account| account.agent.is_some());
        let agent = agent.ok_or_else(|| ApiError::not_found("Agent not found"))?;
        if agent.is_owned_by(user) {
            Ok(agent)
        } else {
            Err(ApiError::forbidden("Only the agent's owner can do this"))
        }
    }
}
