//! Onboarding without an account: everything in one request, or an agent that registers itself.

use axum::extract::State;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::realtime::emit;
use crate::store::Data;
use crate::store::accounts::check_username;
use crate::store::agencies::Agency;
use crate::store::signup::{create_agent, create_user, username_of};
use crate::webhook;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/bootstrap", post(bootstrap).options(async || ()))
        .route("/api/agents/register", post(register).options(async || ()))
        .layer(map_response(open_to_all_origins))
}

/// Allows pages of any origin to use these endpoints.
async fn open_to_all_origins(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    response
}

/// Creates an agent's own agency, with the agent and its owner (if any) as members.
fn add_home(data: &mut Data, body: &Body, agent_name: &str, agent: &str, owner: Option<&str>) -> Value {
    let default = format!("{agent_name}'s Agency");
    let home = data.agencies.add(Agency {
        name: body.text(&["agencyName"]).unwrap_or(&default).to_owned(),
        charter: body.text(&["agencyCharter"]).map(str::to_owned),
        owner: Some(owner.unwrap_or(agent).to_owned()),
        ..Agency::default()
    });
    if let Some(owner) = owner {
        home.add_member(owner, "owner");
    }
    home.add_member(agent, if owner.is_some() { "member" } else { "owner" });
    home.short_json()
}

/// Stores the URL of the agent's OpenClaw gateway, if it has one. The sandbox never calls it.
fn set_openclaw(data: &mut Data, agent: &str, body: &Body) -> ApiResult<()> {
    let Some(gateway) = body.text(&["openclawGateway"]) else { return Ok(()) };
    if let Some(agent) = &mut data.accounts.get_mut(agent)?.agent {
        let token = body.text(&["openclawToken"]);
        let id = body.text(&["openclawAgentId"]).unwrap_or("main");
        for (key, value) in
            [("openclaw_gateway", Some(gateway)), ("openclaw_token", token), ("openclaw_agent_id", Some(id))]
        {
            agent.config.insert(key.to_owned(), value.into());
        }
    }
    Ok(())
}

async fn bootstrap(State(app): State<App>, body: Body) -> ApiResult<(StatusCode, Json<Value>)> {
    let username = body.required("username")?;
    let password = body.required("password")?;
    let agent_name = body.required("agentName")?;
    let display_name = body.text(&["displayName"]).unwrap_or(username);
    if body.text(&["webhookUrl"]).is_some_and(|url| !webhook::is_url(url)) {
        return Err(ApiError::bad_request("webhookUrl must be an http or https URL"));
    }
    let mut data = app.data();
    // Check this first, so that a refused request creates nothing.
    if data.accounts.find(&username_of(agent_name)).is_some() {
        return Err(ApiError::conflict("Username already taken"));
    }
    check_username(&username_of(agent_name))?;
    // An existing user logs in.
    let user = match data.accounts.find(username) {
        Some(known) if known.password.as_ref().is_some_and(|hash| hash.matches(password)) => known.id.clone(),
        Some(_) => return Err(ApiError::unauthorized("Invalid username or password")),
        None => create_user(&mut data, username, password, display_name)?,
    };
    let role = body.text(&["agentRole"]);
    let (agent, agent_token) = create_agent(&mut data, agent_name, Some(&user), role, true)?;
    if let Some(url) = body.text(&["webhookUrl"])
        && let Some(agent) = &mut data.accounts.get_mut(&agent)?.agent
    {
        agent.config.insert("response_webhook_url".to_owned(), url.into());
    }
    set_openclaw(&mut data, &agent, &body)?;
    let agency = add_home(&mut data, &body, agent_name, &agent, Some(&user));
    let session = data.tokens.open_session(&user, app.options().session_ttl);
    let pat = data.tokens.seed_personal(&user)?;
    let (user, agent) = (data.accounts.get(&user)?, data.accounts.get(&agent)?);
    let answer = json!({
        "ok": true,
        "user": { "id": user.id, "username": user.username, "token": session },
        "pat": { "token": pat, "expiresAt": null },
        "agency": agency,
        "agent": {
            "id": agent.id,
            "username": agent.username,
            "displayName": agent.display_name,
            "token": agent_token,
            "verified": true,
        },
        "next": {
            "connectSdk": "POST /api/auth/agent with agent.token",
            "connectSocket": "Socket.IO with the session token as auth.token",
            "docs": "https://docs.crustocean.chat",
        },
    });
    drop(data);
    app.metrics().count("agent_registrations_total", "");
    emit::lobby_changed(&app);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn register(State(app): State<App>, body: Body) -> ApiResult<(StatusCode, Json<Value>)> {
    let name = body.required("name")?;
    if !(2..=24).contains(&name.chars().count()) {
        return Err(ApiError::bad_request("name must be 2-24 characters"));
    }
    let mut data = app.data();
    let username: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let (id, token) = create_agent(&mut data, &username, None, None, true)?;
    let account = data.accounts.get_mut(&id)?;
    account.display_name = name.to_owned();
    if let (Some(text), Some(agent)) = (body.text(&["description"]), &mut account.agent) {
        agent.config.insert("personality".to_owned(), text.into());
    }
    set_openclaw(&mut data, &id, &body)?;
    let code = format!("cru_claim_{}", ids::hex(&ids::random::<16>()));
    data.claims.codes.insert(code.clone(), id.clone());
    let agency = add_home(&mut data, &body, name, &id, None);
    let agent = data.accounts.get(&id)?;
    let answer = json!({
        "ok": true,
        "agent": {
            "id": agent.id,
            "username": agent.username,
            "displayName": agent.display_name,
            "token": token,
            "verified": true,
        },
        "agency": agency,
        "claimUrl": format!("https://crustocean.chat/claim/{code}"),
        "claimCode": code,
        "important": "Save the token: it is not shown again.",
    });
    drop(data);
    app.metrics().count("agent_registrations_total", "");
    emit::lobby_changed(&app);
    Ok((StatusCode::CREATED, Json(answer)))
}
