//! Hooks: commands with one webhook URL.

use crate::body::Body;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::store::accounts::Accounts;
use crate::store::custom_commands::CustomCommands;

/// One hook. `fields` has the data that the sandbox only stores and returns.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hook {
    pub(crate) id: String,
    pub(crate) webhook_url: String,
    pub(crate) creator: String,
    pub(crate) slug: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) fields: Map<String, Value>,
    pub(crate) key_hash: Option<String>,
    pub(crate) created_at: u64,
    pub(crate) updated_at: u64,
}

impl Hook {
    pub(crate) fn new(webhook_url: &str, creator: &str) -> Self {
        let now = clock::now_ms();
        Hook {
            id: ids::uuid(),
            webhook_url: webhook_url.to_owned(),
            creator: creator.to_owned(),
            slug: None,
            enabled: true,
            fields: Map::new(),
            key_hash: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Creates a new key, and invalidates the old one.
    pub(crate) fn new_key(&mut self) -> String {
        let key = ids::hex(&ids::random::<32>());
        self.key_hash = Some(ids::sha256(&key));
        key
    }

    pub(crate) fn revoke_key(&mut self) {
        self.key_hash = None;
    }

    pub(crate) fn set(&mut self, body: &Body, keys: &[&str]) {
        for key in keys {
            if let Some(value) = body.0.get(*key) {
                self.fields.insert((*key).to_owned(), value.clone());
            }
        }
        self.updated_at = clock::now_ms();
    }

    /// The names and descriptions of its commands.
    pub(crate) fn commands(&self, commands: &CustomCommands) -> Value {
        match self.fields.get("commands") {
            Some(commands) => commands.clone(),
            None => commands.of_hook(&self.webhook_url),
        }
    }

    pub(crate) fn json(&self, commands: &CustomCommands, accounts: &Accounts) -> Value {
        let field = |key: &str| self.fields.get(key).cloned().unwrap_or(Value::Null);
        let creator = accounts.get(&self.creator).map(|account| format!("@{}", account.username)).ok();
        let permission =
            self.fields.get("default_invoke_permission").cloned().unwrap_or_else(|| "open".into());
        let mut hook = json!({
            "id": self.id,
            "hook_id": self.id,
            "webhook_url": self.webhook_url,
            "name": field("name"),
            "slug": self.slug,
            "at_name": field("at_name"),
            "description": field("description"),
            "creator": creator,
            "default_invoke_permission": permission,
            "enabled": self.enabled,
            "source_url": field("source_url"),
            "source_hash": field("source_hash"),
            "verified": self.fields.get("verified").cloned().unwrap_or(Value::Bool(false)),
            "schema": field("schema"),
            "commands": self.commands(commands),
            "created_at": clock::iso(self.created_at),
            "updated_at": clock::iso(self.updated_at),
        });
        if let (Some(code), Some(hook)) = (self.fields.get("source_code"), hook.as_object_mut()) {
            hook.insert("source_code".to_owned(), code.clone());
        }
        hook
    }

    pub(crate) fn source_json(&self) -> Value {
        let field = |key: &str| self.fields.get(key).cloned().unwrap_or(Value::Null);
        json!({
            "webhook_url": self.webhook_url,
            "source_url": field("source_url"),
            "source_hash": field("source_hash"),
            "verified": self.fields.get("verified").cloned().unwrap_or(Value::Bool(false)),
            "schema": field("schema"),
        })
    }
}

/// All hooks, in the order of creation.
#[derive(Debug, Default)]
pub(crate) struct Hooks(pub(crate) Vec<Hook>);

impl Hooks {
    pub(crate) fn by_url(&mut self, webhook_url: &str) -> Option<&mut Hook> {
        self.0.iter_mut().find(|hook| hook.webhook_url == webhook_url)
    }

    pub(crate) fn by_slug(&mut self, slug: &str) -> Option<&mut Hook> {
        self.0.iter_mut().find(|hook| hook.slug.as_deref() == Some(slug))
    }

    /// Whether another public hook has this `slug` or `at_name`.
    pub(crate) fn is_taken(&self, key: &str, text: &str, url: &str) -> bool {
        let name = text.trim_start_matches('@');
        self.0.iter().filter(|hook| hook.webhook_url != url && hook.slug.is_some()).any(|hook| {
            let theirs = match key {
                "slug" => hook.slug.as_deref(),
                key => hook.fields.get(key).and_then(Value::as_str),
            };
            theirs.is_some_and(|theirs| theirs.trim_start_matches('@') == name)
        })
    }

    pub(crate) fn by_id(&mut self, id: &str) -> ApiResult<&mut Hook> {
        self.0.iter_mut().find(|hook| hook.id == id).ok_or_else(|| ApiError::not_found("Hook not found"))
    }

    pub(crate) fn created_by(&mut self, id: &str, user: &str) -> ApiResult<&mut Hook> {
        let hook = self.by_id(id)?;
        if hook.creator == user { Ok(hook) } else { Err(not_creator()) }
    }
}

pub(crate) fn not_creator() -> ApiError {
    ApiError::forbidden("Only the hook's creator can do this")
}
