//! Hooks: bundles of commands behind one webhook URL, and the key that lets a hook speak.

use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::body::Body;
use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::state::{App, Data};

/// Who may use a command.
pub(crate) const PERMISSIONS: [&str; 3] = ["open", "closed", "whitelist"];

/// One hook. Everything that is only stored and given back is in `fields`.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) id: String,
    pub(crate) webhook_url: String,
    pub(crate) creator: String,
    pub(crate) slug: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) fields: Map<String, Value>,
    pub(crate) key_hash: Option<String>,
    created_at: u64,
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

    /// A new key; the one before dies at once.
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

    /// Name and description of its commands.
    pub(crate) fn commands(&self, data: &Data) -> Value {
        match self.fields.get("commands") {
            Some(commands) => commands.clone(),
            None => data.commands.of_hook(&self.webhook_url),
        }
    }

    pub(crate) fn json(&self, data: &Data) -> Value {
        let field = |key: &str| self.fields.get(key).cloned().unwrap_or(Value::Null);
        let creator = data.accounts.get(&self.creator).map(|account| format!("@{}", account.username)).ok();
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
            "commands": self.commands(data),
            "created_at": clock::iso(self.created_at),
            "updated_at": clock::iso(self.updated_at),
        });
        if let (Some(code), Some(hook)) = (self.fields.get("source_code"), hook.as_object_mut()) {
            hook.insert("source_code".to_owned(), code.clone());
        }
        hook
    }

    fn source_json(&self) -> Value {
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

/// All hooks, in the order of their making.
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

    fn by_id(&mut self, id: &str) -> ApiResult<&mut Hook> {
        self.0.iter_mut().find(|hook| hook.id == id).ok_or_else(|| ApiError::not_found("Hook not found"))
    }

    fn created_by(&mut self, id: &str, caller: &Caller) -> ApiResult<&mut Hook> {
        let hook = self.by_id(id)?;
        if hook.creator == caller.id { Ok(hook) } else { Err(not_creator()) }
    }
}

fn not_creator() -> ApiError {
    ApiError::forbidden("Only the hook's creator can do this")
}

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/hooks/by-slug/{slug}", get(by_slug))
        .route("/api/hooks/by-id/{id}", get(by_id).patch(update))
        .route("/api/hooks/by-id/{id}/rotate-key", post(rotate))
        .route("/api/hooks/by-id/{id}/revoke-key", delete(revoke))
        .route("/api/hooks/source", get(source).patch(set_source))
        .route("/api/hooks/metadata", patch(set_metadata))
}

async fn by_slug(State(app): State<App>, Path(slug): Path<String>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let hook = data.hooks.0.iter().find(|hook| hook.slug.as_deref() == Some(&slug));
    Ok(Json(hook.ok_or_else(|| ApiError::not_found("Hook not found"))?.json(&data)))
}

async fn by_id(State(app): State<App>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let hook = data.hooks.0.iter().find(|hook| hook.id == id);
    Ok(Json(hook.ok_or_else(|| ApiError::not_found("Hook not found"))?.json(&data)))
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> ApiResult<Json<Value>> {
    check_permission(&body)?;
    let mut data = app.data();
    caller.user(&data)?;
    let hook = data.hooks.created_by(&id, &caller)?;
    hook.set(&body, &["name", "description", "default_invoke_permission"]);
    if let Some(enabled) = body.flag(&["enabled"]) {
        hook.enabled = enabled;
    }
    let url = hook.webhook_url.clone();
    copy_to_commands(&mut data, &url, &body);
    by_id_json(&data, &id)
}

fn check_permission(body: &Body) -> ApiResult<()> {
    match body.0.get("default_invoke_permission") {
        None => Ok(()),
        Some(Value::String(permission)) if PERMISSIONS.contains(&permission.as_str()) => Ok(()),
        Some(_) => Err(ApiError::bad_request("default_invoke_permission must be open, closed or whitelist")),
    }
}

/// Name, description and permission of a hook are in the `explore_metadata` of all its commands as well.
fn copy_to_commands(data: &mut Data, url: &str, body: &Body) {
    let keys = [
        ("name", "display_name"),
        ("description", "description"),
        ("default_invoke_permission", "default_invoke_permission"),
    ];
    for command in data.commands.0.iter_mut().filter(|command| command.webhook_url == url) {
        // Those that came as a JSON string or not at all become objects only if there is something to say.
        let given = command.explore_metadata.as_str().and_then(|text| serde_json::from_str(text).ok());
        let mut metadata = match given.unwrap_or_else(|| command.explore_metadata.clone()) {
            Value::Object(metadata) => metadata,
            _ => Map::new(),
        };
        for (from, to) in keys {
            if let Some(value) = body.0.get(from) {
                metadata.insert(to.to_owned(), value.clone());
            }
        }
        if !metadata.is_empty() {
            command.explore_metadata = metadata.into();
        }
    }
}

fn by_id_json(data: &Data, id: &str) -> ApiResult<Json<Value>> {
    let hook = data.hooks.0.iter().find(|hook| hook.id == id);
    Ok(Json(hook.ok_or_else(|| ApiError::not_found("Hook not found"))?.json(data)))
}

async fn rotate(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    caller.user(&data)?;
    let hook = data.hooks.created_by(&id, &caller)?;
    if hook.key_hash.is_none() {
        return Err(ApiError::bad_request("The key was revoked for good"));
    }
    Ok(Json(json!({ "hookKey": hook.new_key() })))
}

async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    caller.user(&data)?;
    data.hooks.created_by(&id, &caller)?.revoke_key();
    Ok(Json(json!({ "ok": true })))
}

#[derive(Deserialize)]
struct SourceQuery {
    webhook_url: String,
}

async fn source(State(app): State<App>, Query(query): Query<SourceQuery>) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    let hook = data.hooks.by_url(&query.webhook_url);
    Ok(Json(hook.ok_or_else(|| ApiError::not_found("Hook not found"))?.source_json()))
}

async fn set_source(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    let hook = hook_of_body(&mut data, &caller, &body)?;
    hook.set(&body, &["source_url", "source_hash", "schema"]);
    Ok(Json(hook.source_json()))
}

/// The hook whose `webhook_url` is in the body, for its creator.
fn hook_of_body<'d>(data: &'d mut Data, caller: &Caller, body: &Body) -> ApiResult<&'d mut Hook> {
    let url = body.required("webhook_url")?;
    caller.user(data)?;
    let hook = data.hooks.by_url(url).ok_or_else(|| ApiError::not_found("Hook not found"))?;
    if hook.creator == caller.id { Ok(hook) } else { Err(not_creator()) }
}

/// The legacy way to what `by-id` does now; its fields are not documented, so they are taken to be the same.
async fn set_metadata(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    check_permission(&body)?;
    let mut data = app.data();
    let hook = hook_of_body(&mut data, &caller, &body)?;
    hook.set(&body, &["name", "description", "default_invoke_permission"]);
    let (id, url) = (hook.id.clone(), hook.webhook_url.clone());
    copy_to_commands(&mut data, &url, &body);
    by_id_json(&data, &id)
}
