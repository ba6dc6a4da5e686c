//! Direct messages: hidden agencies with two members.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::routes::caller::Caller;
use crate::store::Data;
use crate::store::agencies::Agency;
use crate::store::dms::open_room;
use crate::store::history::{HistoryQuery, history};

pub(crate) fn routes() -> Router<App> {
    // The router needs one parameter name for both `POST /api/dm/{user}` and `/api/dm/{room}`.
    Router::new()
        .route("/api/dm", get(list))
        .route("/api/dm/{id}", post(open).delete(hide))
        .route("/api/dm/{id}/messages", get(messages))
        .route("/api/dm/{id}/purge", post(purge))
}

fn room<'d>(data: &'d mut Data, id: &str, caller: &Caller) -> ApiResult<&'d mut Agency> {
    let room = data.agencies.get_mut(id).filter(|room| room.dm && room.is_member(&caller.id));
    room.ok_or_else(|| ApiError::not_found("Conversation not found"))
}

async fn list(State(app): State<App>, caller: Caller) -> Json<Value> {
    let data = app.data();
    let seen = data
        .agencies
        .all()
        .into_iter()
        .rev()
        .filter(|room| room.dm && room.is_member(&caller.id) && !room.hidden_for.contains(&caller.id));
    let rooms = seen.filter_map(|room| {
        let other = room.members.iter().find(|member| member.account != caller.id)?;
        let other = data.accounts.get(&other.account).ok()?;
        Some(json!({
            "agencyId": room.id,
            "participant": {
                "id": other.id,
                "username": other.username,
                "displayName": other.display_name,
                "type": other.kind(),
            },
            "last_message": room.messages.last().map(|message| message.content.as_str()),
        }))
    });
    Json(rooms.collect())
}

async fn open(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let mut data = app.data();
    let (id, new) = open_room(&mut data, &caller.id, &user)?;
    if let Some(room) = data.agencies.get_mut(&id) {
        room.hidden_for.remove(&caller.id);
    }
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(json!({ "agencyId": id }))))
}

async fn messages(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> ApiResult<Json<Vec<Box<RawValue>>>> {
    app.faults().check_history(&id)?;
    let mut data = app.data();
    Ok(Json(history(room(&mut data, &id, &caller)?, &query, &app.faults().lock().altered)?))
}

async fn hide(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    room(&mut data, &id, &caller)?.hidden_for.insert(caller.id);
    Ok(Json(json!({ "ok": true })))
}

async fn purge(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    room(&mut data, &id, &caller)?.messages.clear();
    Ok(Json(json!({ "ok": true })))
}
