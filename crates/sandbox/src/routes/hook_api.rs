//! The endpoints for a hook's key: list where the hook is installed, list members, post messages.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::realtime::post;
use crate::realtime::response_webhook;
use crate::store::Data;
use crate::store::messages::Message;

/// The webhook URL of the hook whose key a request has.
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
}

/// Refuses agencies in which the hook has no command.
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
    let message = post::publish(&app, |data| {
        let id = &data.agencies.find(agency)?.id;
        installed(data, &url, id)?;
        // The other fields are not documented, so these are the fields of a hook's answer.
        let mut message = Message::system(id, body.text(&["type"]).unwrap_or("tool_result"), content);
        let mut metadata = body.0.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        metadata.insert("webhook".to_owned(), true.into());
        message.metadata = metadata.into();
        Ok::<_, ApiError>(message)
    })?;
    response_webhook::queue(&app, &message, 0);
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
            if messages.get(&id).is_some_and(|message| message.sender_id == "system") {
                found = messages.edit(&id, |message| {
                    message.content = content.to_owned();
                    message.edited_at = Some(clock::now_ms());
                });
            }
            if found.is_some() {
                break;
            }
        }
        found.ok_or_else(|| ApiError::not_found("Message not found"))?
    };
    post::show_edit(&app, &message);
    Ok(Json(message.json(false)))
}
