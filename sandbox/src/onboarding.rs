//! Ways in that need no account: an agent with everything in one request, and claiming it later.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::agencies::Agency;
use crate::agents::create_agent;
use crate::auth::{Caller, create_user};
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::state::{App, Data};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/bootstrap", post(bootstrap))
        .route("/api/agents/register", post(register))
        .route("/api/agents/claim/{code}", get(claim_lookup))
        .route("/api/agents/claim", post(claim))
}

/// The agency that an agent gets of its own, with the agent and its owner, if any, in it.
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

async fn bootstrap(State(app): State<App>, body: Body) -> ApiResult<(StatusCode, Json<Value>)> {
    let username = body.required("username")?;
    let password = body.required("password")?;
    let agent_name = body.required("agentName")?;
    let display_name = body.text(&["displayName"]).unwrap_or(username);
    let mut data = app.data();
    // Somebody who is known already logs in.
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
    let agency = add_home(&mut data, &body, agent_name, &agent, Some(&user));
    let session = data.tokens.open_session(&user, app.session_ttl());
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
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn register(State(app): State<App>, body: Body) -> ApiResult<(StatusCode, Json<Value>)> {
    let name = body.required("name")?;
    let mut data = app.data();
    let username: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let (id, token) = create_agent(&mut data, &username, None, None, true)?;
    let account = data.accounts.get_mut(&id)?;
    account.display_name = name.to_owned();
    if let (Some(text), Some(agent)) = (body.text(&["description"]), &mut account.agent) {
        agent.config.insert("personality".to_owned(), text.into());
    }
    let code = format!("cru_claim_{}", ids::hex(&ids::random::<16>()));
    data.claims.insert(code.clone(), id.clone());
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
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn claim_lookup(State(app): State<App>, Path(code): Path<String>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let unknown = || ApiError::not_found("Unknown or expired claim code");
    let agent = data.accounts.get(data.claims.get(&code).ok_or_else(unknown)?).map_err(|_| unknown())?;
    if agent.agent.as_ref().is_some_and(|agent| agent.owner.is_some()) {
        return Err(ApiError::conflict("This agent has been claimed already"));
    }
    let user = agent.json();
    Ok(Json(json!({
        "username": agent.username,
        "displayName": agent.display_name,
        "persona": user.get("persona"),
        "avatarUrl": user.get("avatar"),
    })))
}

/// There is no mail here, so the claim takes effect at once instead of after a click on a link.
async fn claim(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    let code = body.required("claimCode")?;
    let email = body.required("email")?;
    let (name, domain) =
        email.split_once('@').ok_or_else(|| ApiError::bad_request("email is not an address"))?;
    let first: String = name.chars().take(1).collect();
    let masked = format!("{first}{}@{domain}", "*".repeat(name.chars().count().saturating_sub(1)));
    let mut data = app.data();
    caller.user(&data)?;
    let agent = data.claims.get(code).cloned().ok_or_else(|| ApiError::not_found("Unknown claim code"))?;
    match &mut data.accounts.get_mut(&agent)?.agent {
        Some(agent) if agent.owner.is_none() => agent.owner = Some(caller.id.clone()),
        _ => return Err(ApiError::conflict("This agent has been claimed already")),
    }
    data.agencies.inherit(&agent, &caller.id);
    Ok(Json(json!({ "ok": true, "maskedEmail": masked })))
}
