//! Register, log in, exchange an agent token, and the current account.

use axum::extract::State;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::ids::{self, PasswordHash};
use crate::realtime::emit;
use crate::routes::caller::Caller;
use crate::store::Data;
use crate::store::accounts::check_password;
use crate::store::signup::create_user;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/auth/register", post(register))
        .route("/api/auth/login", post(login))
        .route("/api/auth/agent", post(agent))
        .route("/api/auth/me", get(me).patch(update_me))
        .route("/api/auth/logout", post(logout))
        .route("/api/auth/change-password", post(change_password))
        .route("/api/auth/account", delete(delete_account))
}

fn session(app: &App, data: &mut Data, id: &str) -> ApiResult<Json<Value>> {
    let token = data.tokens.open_session(id, app.options().session_ttl);
    Ok(Json(json!({ "token": token, "user": data.accounts.get(id)?.json() })))
}

async fn register(State(app): State<App>, body: Body) -> ApiResult<Json<Value>> {
    let username = body.required("username")?;
    let password = body.required("password")?;
    let display_name = body.text(&["displayName", "display_name"]).unwrap_or(username);
    let answer = {
        let mut data = app.data();
        let id = create_user(&mut data, username, password, display_name)?;
        session(&app, &mut data, &id)?
    };
    emit::lobby_changed(&app);
    Ok(answer)
}

async fn login(State(app): State<App>, body: Body) -> ApiResult<Json<Value>> {
    let username = body.required("username")?;
    let password = body.required("password")?;
    let mut data = app.data();
    let account = data.accounts.find(username);
    let known = account.filter(|a| a.password.as_ref().is_some_and(|hash| hash.matches(password)));
    let id = known.ok_or_else(|| ApiError::unauthorized("Invalid username or password"))?.id.clone();
    session(&app, &mut data, &id)
}

async fn agent(State(app): State<App>, body: Body) -> ApiResult<Json<Value>> {
    let token = body.required("agentToken")?;
    let mut data = app.data();
    let account = data.accounts.agent_of_token(&ids::sha256(token));
    let account = account.ok_or_else(|| ApiError::unauthorized("Invalid agent token"))?;
    if !account.agent.as_ref().is_some_and(|agent| agent.verified) {
        return Err(ApiError::forbidden("Agent not verified. The owner must verify it first."));
    }
    let id = account.id.clone();
    session(&app, &mut data, &id)
}

async fn me(State(app): State<App>, caller: Caller) -> ApiResult<Json<Value>> {
    Ok(Json(app.data().accounts.get(&caller.id)?.json()))
}

async fn update_me(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    let account = data.accounts.get_mut(&caller.id)?;
    if let Some(name) = body.text(&["displayName", "display_name"]) {
        account.display_name = name.to_owned();
    }
    if let Some(description) = body.0.get("description") {
        // An empty string or null deletes the description.
        account.description = description.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    }
    for key in ["avatar", "banner", "theme", "font"] {
        if let Some(value) = body.0.get(key) {
            account.profile.insert(key.to_owned(), value.clone());
        }
    }
    Ok(Json(account.json()))
}

async fn logout(State(app): State<App>, caller: Caller) -> Json<Value> {
    // A personal access token is not a session, so it stays valid until it is revoked.
    app.data().tokens.close_session(&caller.token_hash);
    Json(json!({ "ok": true }))
}

async fn change_password(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    let current = body.required("currentPassword")?;
    let new = body.required("newPassword")?;
    check_password(new)?;
    let mut data = app.data();
    caller.user(&data)?;
    let account = data.accounts.get_mut(&caller.id)?;
    if !account.password.as_ref().is_some_and(|hash| hash.matches(current)) {
        // Do not use 401, because the CLI reads 401 as "not logged in".
        return Err(ApiError::bad_request("Current password is incorrect"));
    }
    account.password = Some(PasswordHash::new(new));
    Ok(Json(json!({ "ok": true })))
}

async fn delete_account(State(app): State<App>, caller: Caller) -> ApiResult<Json<Value>> {
    let gone: Vec<String> = {
        let data = app.data();
        caller.user(&data)?;
        let agents = data.accounts.all().into_iter().filter(|account| account.is_owned_by(&caller.id));
        agents.map(|agent| agent.id.clone()).chain([caller.id.clone()]).collect()
    };
    for id in &gone {
        remove_account(&app, id);
    }
    Ok(Json(json!({ "ok": true })))
}

/// Deletes an account everywhere. Its messages stay, as on the platform.
pub(crate) fn remove_account(app: &App, id: &str) {
    {
        let mut data = app.data();
        data.tokens.forget(id);
        data.agencies.forget(id);
        data.accounts.remove(id);
    }
    emit::disconnect(app, id);
}
