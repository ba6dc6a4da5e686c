//! Webhook subscriptions to the events of an agency.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, patch};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::body::Body;
use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::routes::caller::Caller;
use crate::store::subscriptions::{EVENTS, Subscription};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/webhook-subscriptions/meta/events", get(events))
        .route("/api/webhook-subscriptions/{agency}", get(list).post(create))
        .route("/api/webhook-subscriptions/{agency}/{id}", patch(update).delete(remove))
}

async fn events() -> Json<Value> {
    Json(json!({ "events": EVENTS, "description": "Events that a webhook can subscribe to" }))
}

/// The agency's id, if the caller may manage it.
fn managed(app: &App, caller: &Caller, agency: &str) -> ApiResult<String> {
    let mut data = app.data();
    caller.user(&data)?;
    Ok(data.agencies.managed(agency, &caller.id)?.id.clone())
}

async fn list(State(app): State<App>, caller: Caller, Path(agency): Path<String>) -> ApiResult<Json<Value>> {
    let agency = managed(&app, &caller, &agency)?;
    let data = app.data();
    let own = data.subscriptions.iter().filter(|subscription| subscription.agency == agency);
    Ok(Json(own.map(|subscription| Value::Object(subscription.fields.clone())).collect()))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(agency): Path<String>,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let agency = managed(&app, &caller, &agency)?;
    body.required("url")?;
    if !body.0.contains_key("events") {
        return Err(ApiError::bad_request("events is required"));
    }
    let mut subscription = Subscription { agency, secret: None, fields: Map::new() };
    let now: Value = clock::iso(clock::now_ms()).into();
    for (key, value) in [
        ("id", ids::uuid().into()),
        ("description", Value::Null),
        ("enabled", true.into()),
        ("created_at", now),
    ] {
        subscription.fields.insert(key.to_owned(), value);
    }
    subscription.set(&body)?;
    let answer = Value::Object(subscription.fields.clone());
    app.data().subscriptions.push(subscription);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path((agency, id)): Path<(String, String)>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let agency = managed(&app, &caller, &agency)?;
    let mut data = app.data();
    let found = data.subscriptions.iter_mut().find(|subscription| subscription.is(&agency, &id));
    let found = found.ok_or_else(|| ApiError::not_found("Subscription not found"))?;
    found.set(&body)?;
    Ok(Json(Value::Object(found.fields.clone())))
}

async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path((agency, id)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let agency = managed(&app, &caller, &agency)?;
    let mut data = app.data();
    let before = data.subscriptions.len();
    data.subscriptions.retain(|subscription| !subscription.is(&agency, &id));
    if data.subscriptions.len() == before {
        return Err(ApiError::not_found("Subscription not found"));
    }
    Ok(Json(json!({ "ok": true })))
}
