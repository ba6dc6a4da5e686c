//! Personal access tokens.

use crate::store::tokens::PersonalToken;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::routes::caller::Caller;

const MAX_NAME: usize = 64;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/auth/tokens", get(list).post(create))
        .route("/api/auth/tokens/{id}", delete(revoke))
}

/// `30d`, `90d`, `1y` or `never`, the default.
fn lifetime(text: Option<&str>) -> ApiResult<Option<Duration>> {
    match text {
        None | Some("never") => Ok(None),
        // The CLI's help offers 365d where the documentation says 1y.
        Some(text @ ("30d" | "90d" | "1y" | "365d")) => Ok(clock::span(text)),
        Some(_) => Err(ApiError::bad_request("expiresIn must be 30d, 90d, 1y or never")),
    }
}

async fn create(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<(StatusCode, Json<Value>)> {
    let name = body.required("name")?;
    if name.chars().count() > MAX_NAME {
        return Err(ApiError::bad_request(format!("name must be at most {MAX_NAME} characters")));
    }
    // The CLI sends `expires`.
    let lifetime = lifetime(body.text(&["expiresIn", "expires_in", "expires"]))?;
    let mut data = app.data();
    caller.user(&data)?;
    let (token, kept) = data.tokens.create_personal(&caller.id, name, lifetime)?;
    let mut answer = kept.json();
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("token".to_owned(), token.into());
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn list(State(app): State<App>, caller: Caller) -> ApiResult<Json<Value>> {
    let data = app.data();
    caller.user(&data)?;
    let own = data.tokens.personal.iter().filter(|token| token.account == caller.id);
    Ok(Json(own.map(PersonalToken::json).collect()))
}

async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    caller.user(&data)?;
    let tokens = &mut data.tokens.personal;
    let before = tokens.len();
    tokens.retain(|token| token.id != id || token.account != caller.id);
    if tokens.len() == before {
        return Err(ApiError::not_found("Token not found"));
    }
    Ok(Json(json!({ "ok": true })))
}
