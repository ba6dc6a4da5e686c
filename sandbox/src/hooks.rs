//! Hooks: bundles of commands behind one webhook URL, and the key that lets a hook speak.

use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::body::Body;
use crate::chat;
use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::messages::Message;
use crate::state::{App, Data};

/// One hook. Everything that is only stored and given back is in `fields`.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) id: String,
    pub(crate) webhook_url: String,
    pub(crate) creator: String,
    pub(crate) slug: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) fields: Map<String, Value>,
    key_hash: Option<String>,
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

    pub(crate) fn json(&self, data: &Data) -> Value {
        let field = |key: &str| self.fields.get(key).cloned().unwrap_or(Value::Null);
        let creator = data.accounts.get(&self.creator).map(|account| format!("@{}", account.username)).ok();
        let permission =
            self.fields.get("default_invoke_permission").cloned().unwrap_or_else(|| "open".into());
        let commands: Value = match self.fields.get("commands") {
            Some(commands) => commands.clone(),
            None => data.commands.of_hook(&self.webhook_url),
        };
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
            "commands": commands,
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

/// The webhook URL of the hook whose key a request carries.
struct HookKey(String);

impl FromRequestParts<App> for HookKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let key = parts.headers.get("x-crustocean-hook-key").and_then(|key| key.to_str().ok());
        let key = key.ok_or_else(|| ApiError::unauthorized("Hook key required"))?;
        let hash = ids::sha256(key.trim());
        let data = app.data();
        let hook = data.hooks.0.iter().find(|hook| hook.key_hash.as_deref() == Some(&hash));
        let hook = hook.ok_or_else(|| ApiError::unauthorized("Invalid hook key"))?;
        Ok(HookKey(hook.webhook_url.clone()))
    }
}

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/hooks/agencies", get(agencies))
        .route("/api/hooks/agencies/{id}/members", get(members))
        .route("/api/hooks/messages", post(speak))
        .route("/api/hooks/messages/{id}", patch(edit))
        .route("/api/hooks/by-slug/{slug}", get(by_slug))
        .route("/api/hooks/by-id/{id}", get(by_id).patch(update))
        .route("/api/hooks/by-id/{id}/rotate-key", post(rotate))
        .route("/api/hooks/by-id/{id}/revoke-key", delete(revoke))
        .route("/api/hooks/source", get(source).patch(set_source))
}

/// Refuses agencies where the hook has no command.
fn installed(data: &Data, url: &str, agency: &str) -> ApiResult<()> {
    if data.commands.is_installed(url, agency) {
        return Ok(());
    }
    Err(ApiError::forbidden("The hook is not installed in this agency"))
}

async fn agencies(State(app): State<App>, HookKey(url): HookKey) -> Json<Value> {
    let data = app.data();
    let all = data.agencies.all().into_iter().filter(|agency| data.commands.is_installed(&url, &agency.id));
    Json(all.map(|agency| agency.short_json()).collect())
}

async fn members(
    State(app): State<App>,
    HookKey(url): HookKey,
    Path(id): Path<String>,
) -> ApiResult<Json<Value>> {
    let data = app.data();
    let agency = data.agencies.find(&id)?;
    installed(&data, &url, &agency.id)?;
    let known = agency.members.iter().filter_map(|member| data.accounts.get(&member.account).ok());
    let members = known.map(|account| {
        json!({
            "id": account.id,
            "username": account.username,
            "display_name": account.display_name,
            "type": account.kind(),
        })
    });
    Ok(Json(members.collect()))
}

async fn speak(State(app): State<App>, HookKey(url): HookKey, body: Body) -> ApiResult<Json<Value>> {
    let content = body.required("content")?;
    let agency = body.text(&["agencyId", "agency_id"]);
    let agency = agency.ok_or_else(|| ApiError::bad_request("agencyId is required"))?;
    let message = {
        let mut data = app.data();
        let id = data.agencies.find(agency)?.id.clone();
        installed(&data, &url, &id)?;
        // The further fields are not documented: these are the ones that a hook's answer may have.
        let mut message = Message::system(&id, body.text(&["type"]).unwrap_or("tool_result"), content);
        let mut metadata = body.0.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        metadata.insert("webhook".to_owned(), true.into());
        message.metadata = metadata.into();
        data.agencies.find_mut(&id)?.add_message(message.clone());
        message
    };
    chat::show(&app, &message);
    Ok(Json(message.json(false)))
}

async fn edit(
    State(app): State<App>,
    HookKey(url): HookKey,
    Path(id): Path<String>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let content = body.required("content")?;
    let message = {
        let mut data = app.data();
        let rooms: Vec<String> = data.agencies.all().iter().map(|agency| agency.id.clone()).collect();
        let rooms: Vec<String> =
            rooms.into_iter().filter(|room| data.commands.is_installed(&url, room)).collect();
        let mut found = None;
        for room in rooms {
            let messages = &mut data.agencies.find_mut(&room)?.messages;
            found = messages.iter_mut().find(|m| m.id == id && m.sender_id == "system").map(|message| {
                message.content = content.to_owned();
                message.edited_at = Some(clock::now_ms());
                message.clone()
            });
            if found.is_some() {
                break;
            }
        }
        found.ok_or_else(|| ApiError::not_found("Message not found"))?
    };
    chat::show_edit(&app, &message);
    Ok(Json(message.json(false)))
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
    let mut data = app.data();
    let hook = data.hooks.created_by(&id, &caller)?;
    hook.set(&body, &["name", "description", "default_invoke_permission"]);
    if let Some(enabled) = body.flag(&["enabled"]) {
        hook.enabled = enabled;
    }
    by_id_json(&data, &id)
}

fn by_id_json(data: &Data, id: &str) -> ApiResult<Json<Value>> {
    let hook = data.hooks.0.iter().find(|hook| hook.id == id);
    Ok(Json(hook.ok_or_else(|| ApiError::not_found("Hook not found"))?.json(data)))
}

async fn rotate(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    let hook = data.hooks.created_by(&id, &caller)?;
    if hook.key_hash.is_none() {
        return Err(ApiError::bad_request("The key was revoked for good"));
    }
    Ok(Json(json!({ "hookKey": hook.new_key() })))
}

async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    app.data().hooks.created_by(&id, &caller)?.revoke_key();
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
    let url = body.required("webhook_url")?;
    let mut data = app.data();
    let hook = data.hooks.by_url(url).ok_or_else(|| ApiError::not_found("Hook not found"))?;
    if hook.creator != caller.id {
        return Err(not_creator());
    }
    hook.set(&body, &["source_url", "source_hash", "schema"]);
    Ok(Json(hook.source_json()))
}
