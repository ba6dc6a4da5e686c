//! Agencies: list, create, change, delete, look up.

use axum::extract::{Path, State};
use axum::routing::{get, patch};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::ids::PasswordHash;
use crate::realtime::emit;
use crate::realtime::notify;
use crate::routes::caller::Caller;
use crate::store::agencies::Agency;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/agencies", get(list).post(create))
        .route("/api/agencies/{id}", patch(update).delete(remove))
        .route("/api/agencies/lookup/{slug}", get(lookup))
}

async fn list(State(app): State<App>, caller: Caller) -> Json<Value> {
    let data = app.data();
    let seen = data
        .agencies
        .all()
        .into_iter()
        .filter(|agency| !agency.dm && (!agency.private || agency.is_member(&caller.id)));
    Json(seen.map(|agency| agency.json(Some(&caller.id))).collect())
}

async fn create(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    let name = body.required("name")?;
    let mut data = app.data();
    caller.user(&data)?;
    let agency = data.agencies.add(Agency {
        name: name.to_owned(),
        charter: body.text(&["charter"]).map(str::to_owned),
        owner: Some(caller.id.clone()),
        private: body.flag(&["isPrivate", "is_private"]).unwrap_or(false),
        password: body.text(&["password"]).map(PasswordHash::new),
        ..Agency::default()
    });
    agency.add_member(&caller.id, "owner");
    Ok(Json(agency.json(Some(&caller.id))))
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let (id, answer, changed) = {
        let mut data = app.data();
        let agency = data.agencies.owned(&id, &caller.id)?;
        let before = (agency.charter.clone(), agency.private);
        if let Some(charter) = body.0.get("charter") {
            agency.charter = charter.as_str().map(str::to_owned);
        }
        if let Some(private) = body.flag(&["isPrivate", "is_private"]) {
            agency.private = private;
        }
        let changed = before != (agency.charter.clone(), agency.private);
        (agency.id.clone(), agency.json(Some(&caller.id)), changed)
    };
    if changed {
        notify::notify(&app, &id, "agency.updated", json!({ "agency": answer }));
    }
    Ok(Json(answer))
}

async fn remove(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let id = {
        let mut data = app.data();
        let id = data.agencies.owned(&id, &caller.id)?.id.clone();
        data.agencies.remove(&id);
        data.commands.0.retain(|command| command.agency != id);
        data.subscriptions.retain(|subscription| subscription.agency != id);
        id
    };
    emit::close_room(&app, &id);
    Ok(Json(json!({ "ok": true })))
}

async fn lookup(State(app): State<App>, caller: Caller, Path(slug): Path<String>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let agency = data.agencies.by_slug(&slug);
    let agency = agency.ok_or_else(|| ApiError::not_found("Agency not found"))?;
    Ok(Json(agency.json(Some(&caller.id))))
}
