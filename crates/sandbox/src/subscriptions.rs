//! Webhook subscriptions: who wants to be told about the events of an agency.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, patch};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::body::Body;
use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::state::App;

const EVENTS: [&str; 14] = [
    "message.created",
    "message.updated",
    "message.deleted",
    "member.joined",
    "member.left",
    "member.kicked",
    "member.banned",
    "member.unbanned",
    "member.promoted",
    "member.demoted",
    "agency.created",
    "agency.updated",
    "invite.created",
    "invite.redeemed",
];

#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) agency: String,
    secret: Option<String>,
    /// As it is answered, without the secret.
    fields: Map<String, Value>,
}

impl Subscription {
    fn is(&self, agency: &str, id: &str) -> bool {
        self.agency == agency && self.fields.get("id").and_then(Value::as_str) == Some(id)
    }

    pub(crate) fn id(&self) -> String {
        self.fields.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn is_enabled(&self) -> bool {
        self.fields.get("enabled") == Some(&Value::Bool(true))
    }

    pub(crate) fn wants(&self, agency: &str, event: &str) -> bool {
        let events = self.fields.get("events").and_then(Value::as_array);
        self.agency == agency
            && self.is_enabled()
            && events.is_some_and(|events| events.iter().any(|wanted| wanted == event))
    }

    /// URL and secret, if this is the subscription with that id and it is switched on.
    pub(crate) fn target(&self, id: &str) -> Option<(String, Option<String>)> {
        if self.fields.get("id").and_then(Value::as_str) != Some(id) || !self.is_enabled() {
            return None;
        }
        Some((self.fields.get("url")?.as_str()?.to_owned(), self.secret.clone()))
    }

    fn set(&mut self, body: &Body) -> ApiResult<()> {
        let web = |url: &Value| {
            url.as_str().is_some_and(|url| url.starts_with("http://") || url.starts_with("https://"))
        };
        if body.0.get("url").is_some_and(|url| !web(url)) {
            return Err(ApiError::bad_request("url must be an http or https URL"));
        }
        if let Some(events) = body.0.get("events") {
            let known = |event: &Value| event.as_str().is_some_and(|event| EVENTS.contains(&event));
            if !events.as_array().is_some_and(|events| !events.is_empty() && events.iter().all(known)) {
                return Err(ApiError::bad_request("events must be a list of event types"));
            }
        }
        // OpenAPI calls the switch `active`, the SDK `enabled`.
        if let Some(enabled) = body.flag(&["enabled", "active"]) {
            self.fields.insert("enabled".to_owned(), enabled.into());
        }
        if let Some(secret) = body.0.get("secret") {
            // Empty or null takes it away.
            self.secret = secret.as_str().filter(|secret| !secret.is_empty()).map(str::to_owned);
        }
        for key in ["url", "events", "description"] {
            if let Some(value) = body.0.get(key) {
                self.fields.insert(key.to_owned(), value.clone());
            }
        }
        self.fields.insert("updated_at".to_owned(), clock::iso(clock::now_ms()).into());
        Ok(())
    }
}

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/webhook-subscriptions/meta/events", get(events))
        .route("/api/webhook-subscriptions/{agency}", get(list).post(create))
        .route("/api/webhook-subscriptions/{agency}/{id}", patch(update).delete(remove))
}

async fn events() -> Json<Value> {
    Json(json!({ "events": EVENTS, "description": "Events that a webhook can subscribe to" }))
}

/// The agency's id, for somebody who may manage it.
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
