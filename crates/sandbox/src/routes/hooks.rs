//! Hooks: commands with one webhook URL, and the key with which a hook posts messages.

use crate::store::hooks::not_creator;
use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::routes::caller::Caller;
use crate::store::Data;
use crate::store::custom_commands::PERMISSIONS;
use crate::store::hooks::Hook;

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
    Ok(Json(hook.ok_or_else(|| ApiError::not_found("Hook not found"))?.json(&data.commands, &data.accounts)))
}

async fn by_id(State(app): State<App>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let hook = data.hooks.0.iter().find(|hook| hook.id == id);
    Ok(Json(hook.ok_or_else(|| ApiError::not_found("Hook not found"))?.json(&data.commands, &data.accounts)))
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
    let hook = data.hooks.created_by(&id, &caller.id)?;
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

/// Copies the name, description and permission of a hook to the `explore_metadata` of all its commands.
fn copy_to_commands(data: &mut Data, url: &str, body: &Body) {
    let keys = [
        ("name", "display_name"),
        ("description", "description"),
        ("default_invoke_permission", "default_invoke_permission"),
    ];
    for command in data.commands.0.iter_mut().filter(|command| command.webhook_url == url) {
        // Metadata that is a JSON string or missing becomes an object only if there is a field to set.
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
    Ok(Json(hook.ok_or_else(|| ApiError::not_found("Hook not found"))?.json(&data.commands, &data.accounts)))
}

async fn rotate(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    caller.user(&data)?;
    let hook = data.hooks.created_by(&id, &caller.id)?;
    if hook.key_hash.is_none() {
        return Err(ApiError::bad_request("The key was revoked for good"));
    }
    Ok(Json(json!({ "hookKey": hook.new_key() })))
}

async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    caller.user(&data)?;
    data.hooks.created_by(&id, &caller.id)?.revoke_key();
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

/// The hook whose `webhook_url` is in the body, if the caller created it.
fn hook_of_body<'d>(data: &'d mut Data, caller: &Caller, body: &Body) -> ApiResult<&'d mut Hook> {
    let url = body.required("webhook_url")?;
    caller.user(data)?;
    let hook = data.hooks.by_url(url).ok_or_else(|| ApiError::not_found("Hook not found"))?;
    if hook.creator == caller.id { Ok(hook) } else { Err(not_creator()) }
}

/// The legacy form of `by-id`. Its fields are not documented, so the sandbox uses the fields of `by-id`.
async fn set_metadata(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    check_permission(&body)?;
    let mut data = app.data();
    let hook = hook_of_body(&mut data, &caller, &body)?;
    hook.set(&body, &["name", "description", "default_invoke_permission"]);
    let (id, url) = (hook.id.clone(), hook.webhook_url.clone());
    copy_to_commands(&mut data, &url, &body);
    by_id_json(&data, &id)
}
