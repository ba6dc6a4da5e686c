//! Custom commands: slash commands of one agency, which a webhook answers.

use crate::realtime::commands::list::name_of;
use axum::extract::{Path, State};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::routes::caller::Caller;
use crate::store::Data;
use crate::store::custom_commands::CustomCommand;
use crate::store::hooks::Hook;
use crate::webhook;

fn url_of(body: &Body) -> ApiResult<Option<&str>> {
    // OpenAPI calls it webhookUrl, all clients call it webhook_url.
    match body.text(&["webhook_url", "webhookUrl"]) {
        Some(url) if !webhook::is_url(url) => {
            Err(ApiError::bad_request("webhook_url must be an http or https URL"))
        }
        url => Ok(url),
    }
}

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/custom-commands/{agency}/commands", get(list).post(create))
        .route("/api/custom-commands/{agency}/commands/{id}", patch(update).delete(remove))
        .route("/api/custom-commands/{agency}/commands/{id}/hook-key", post(key).delete(revoke_key))
}

/// The id of an agency, if the caller is a user who owns it. The reference requires a user's token, not an agent's.
fn owned(data: &mut Data, caller: &Caller, agency: &str) -> ApiResult<String> {
    caller.user(data)?;
    Ok(data.agencies.owned(agency, &caller.id)?.id.clone())
}

async fn list(State(app): State<App>, caller: Caller, Path(agency): Path<String>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let agency = data.agencies.find(&agency)?;
    agency.require_member(&caller.id)?;
    let own = data.commands.0.iter().filter(|command| command.agency == agency.id);
    Ok(Json(own.map(CustomCommand::json).collect()))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(agency): Path<String>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let name = name_of(body.required("name")?)?;
    let url = url_of(&body)?.ok_or_else(|| ApiError::bad_request("webhook_url is required"))?;
    let mut data = app.data();
    let agency = owned(&mut data, &caller, &agency)?;
    let mut command = CustomCommand {
        id: ids::uuid(),
        agency,
        name,
        description: None,
        webhook_url: url.to_owned(),
        explore_metadata: Value::Null,
        invoke_permission: "open".to_owned(),
        invoke_whitelist: Vec::new(),
        created_at: clock::now_ms(),
    };
    command.set(&body)?;
    let named = command.explore_metadata.get("creator").and_then(Value::as_str);
    for creator in body.text(&["creator"]).into_iter().chain(named) {
        if data.accounts.find(creator).is_none() {
            return Err(ApiError::bad_request("creator must be the @username of somebody"));
        }
    }
    let key = publish(&mut data, &caller.id, url, &command.explore_metadata)?;
    let mut answer = command.json();
    if let (Some(key), Some(answer)) = (key, answer.as_object_mut()) {
        answer.insert("hookKey".to_owned(), key.into());
    }
    data.commands.0.push(command);
    Ok(Json(answer))
}

/// Creates the hook of a webhook URL when its first command is published. Returns its key only then.
fn publish(data: &mut Data, creator: &str, url: &str, explore: &Value) -> ApiResult<Option<String>> {
    // Some clients send the metadata as a JSON string.
    let parsed = explore.as_str().and_then(|text| serde_json::from_str(text).ok());
    let explore = parsed.as_ref().unwrap_or(explore);
    let slug = explore.get("slug").and_then(Value::as_str);
    for (key, text) in ["slug", "at_name"].map(|key| (key, explore.get(key).and_then(Value::as_str))) {
        if text.is_some_and(|text| data.hooks.is_taken(key, text, url)) {
            return Err(ApiError::conflict(format!("This {key} belongs to another hook")));
        }
    }
    let new = data.hooks.by_url(url).is_none();
    if new {
        data.hooks.0.push(Hook::new(url, creator));
    }
    let Some(hook) = data.hooks.by_url(url) else { return Ok(None) };
    if let Some(slug) = slug {
        hook.slug = Some(slug.to_owned());
        for (from, to) in [("at_name", "at_name"), ("display_name", "name"), ("description", "description")] {
            if let Some(value) = explore.get(from) {
                hook.fields.insert(to.to_owned(), value.clone());
            }
        }
    }
    Ok(new.then(|| hook.new_key()))
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path((agency, id)): Path<(String, String)>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    let agency = owned(&mut data, &caller, &agency)?;
    let url = url_of(&body)?;
    let name = body.text(&["name"]).map(name_of).transpose()?;
    let command = data.commands.find(&agency, &id)?;
    command.set(&body)?;
    command.name = name.unwrap_or_else(|| command.name.clone());
    command.webhook_url = url.unwrap_or(&command.webhook_url).to_owned();
    let command = command.clone();
    publish(&mut data, &caller.id, &command.webhook_url, &command.explore_metadata)?;
    Ok(Json(command.json()))
}

async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path((agency, id)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    let agency = owned(&mut data, &caller, &agency)?;
    data.commands.find(&agency, &id)?;
    data.commands.0.retain(|command| command.id != id);
    Ok(Json(json!({ "ok": true })))
}

fn hook_of<'d>(data: &'d mut Data, caller: &Caller, agency: &str, id: &str) -> ApiResult<&'d mut Hook> {
    let agency = owned(data, caller, agency)?;
    let url = data.commands.find(&agency, id)?.webhook_url.clone();
    data.hooks.by_url(&url).ok_or_else(|| ApiError::not_found("Hook not found"))
}

/// Creates a new key. The sources disagree whether the platform returns the old key; the sandbox stores only its hash.
async fn key(
    State(app): State<App>,
    caller: Caller,
    Path((agency, id)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    let hook = hook_of(&mut data, &caller, &agency, &id)?;
    Ok(Json(json!({ "hookKey": hook.new_key() })))
}

async fn revoke_key(
    State(app): State<App>,
    caller: Caller,
    Path((agency, id)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    hook_of(&mut data, &caller, &agency, &id)?.revoke_key();
    Ok(Json(json!({ "ok": true })))
}
