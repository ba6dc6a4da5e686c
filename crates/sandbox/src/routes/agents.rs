//! The endpoints for an agent's owner.

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::realtime::emit;
use crate::realtime::notify;
use crate::routes::auth::remove_account;
use crate::routes::caller::Caller;
use crate::routes::wallet;
use crate::store::signup::create_agent;
use crate::webhook;

/// The path of the configuration for agents that the platform hosts. The real path is not documented.
pub(crate) const HOSTED: &str = "/api/hosted/config";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/agents", get(list).post(create))
        .route("/api/agents/{id}", delete(remove))
        .route("/api/agents/{id}/verify", post(verify))
        .route("/api/agents/{id}/config", get(config).patch(configure))
        .route("/api/agents/{id}/transfer", post(transfer))
        .route(HOSTED, get(hosted))
}

async fn create(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    let name = body.required("name")?;
    let role = body.text(&["role"]);
    let agency = body.text(&["agencyId", "agency_id"]);
    let (id, agency, answer) = {
        let mut data = app.data();
        caller.user(&data)?;
        let agency = match agency {
            Some(agency) => {
                let agency = data.agencies.find(agency)?;
                agency.require_member(&caller.id)?;
                Some(agency.id.clone()).filter(|id| id != data.agencies.lobby_id())
            }
            None => None,
        };
        let (id, token) = create_agent(&mut data, name, Some(&caller.id), role, false)?;
        if let Some(agency) = &agency {
            data.agencies.find_mut(agency)?.add_member(&id, "member");
        }
        app.metrics().count("agent_registrations_total", "");
        let answer = json!({ "agent": data.accounts.get(&id)?.agent_json(), "agentToken": token });
        (id, agency, answer)
    };
    emit::lobby_changed(&app);
    if let Some(agency) = agency {
        notify::joined(&app, &agency, &id, Some(&caller.id));
    }
    Ok(Json(answer))
}

async fn list(State(app): State<App>, caller: Caller) -> ApiResult<Json<Value>> {
    let online = emit::online(&app);
    let data = app.data();
    caller.user(&data)?;
    let own = data.accounts.all().into_iter().filter(|account| account.is_owned_by(&caller.id));
    let agents = own.map(|account| {
        let mut agent = account.agent_json();
        if let Some(agent) = agent.as_object_mut() {
            let status = if online.contains(&account.id) { "online" } else { "offline" };
            agent.insert("status".to_owned(), status.into());
        }
        agent
    });
    Ok(Json(agents.collect()))
}

async fn verify(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    let account = data.accounts.owned_agent(&id, &caller.id)?;
    if let Some(agent) = &mut account.agent {
        agent.verified = true;
    }
    Ok(Json(json!({ "ok": true, "agent": account.agent_json() })))
}

#[derive(serde::Deserialize)]
struct ConfigQuery {
    #[serde(rename = "agencyId")]
    agency_id: Option<String>,
}

async fn config(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ConfigQuery>,
) -> ApiResult<Json<Value>> {
    let data = app.data();
    let account = data.accounts.get(&id).map_err(|_| ApiError::not_found("Agent not found"))?;
    let agent = account.agent.as_ref().ok_or_else(|| ApiError::not_found("Agent not found"))?;
    if caller.id != id && !account.is_owned_by(&caller.id) {
        return Err(ApiError::forbidden("Only the agent and its owner can read this"));
    }
    let mut config = agent.config.clone();
    if let Some(agency) = &query.agency_id {
        // The settings of `/agent customize … --agency` override the others.
        let here = agent.agency_config.get(&data.agencies.find(agency)?.id);
        config.extend(here.cloned().unwrap_or_default());
    }
    Ok(Json(json!({ "config": config })))
}

async fn configure(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> ApiResult<Json<Value>> {
    for key in ["response_webhook_url", "ollama_endpoint"] {
        // The platform refuses addresses in its own network. Here all addresses are local, so the sandbox checks only
        // the scheme.
        if body.text(&[key]).is_some_and(|url| !webhook::is_url(url)) {
            return Err(ApiError::bad_request(format!("{key} must be an http or https URL")));
        }
    }
    for key in ["wallet_spend_limit_per_tx", "wallet_spend_limit_daily"] {
        if body.0.get(key).is_some_and(|limit| wallet::units(limit).is_none()) {
            return Err(ApiError::bad_request(format!("{key} must be a number")));
        }
    }
    let mut data = app.data();
    let account = data.accounts.owned_agent(&id, &caller.id)?;
    if let Some(agent) = &mut account.agent {
        agent.config.extend(body.0);
    }
    Ok(Json(account.agent_json()))
}

async fn transfer(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    data.accounts.owned_agent(&id, &caller.id)?;
    let heir = match (body.text(&["newOwnerId"]), body.text(&["newOwnerUsername"])) {
        (Some(id), _) => data.accounts.get(id).ok(),
        (None, Some(username)) => data.accounts.find(username),
        (None, None) => {
            return Err(ApiError::bad_request("newOwnerId or newOwnerUsername is required"));
        }
    };
    let heir = heir.filter(|account| account.agent.is_none());
    let heir = heir.ok_or_else(|| ApiError::not_found("New owner not found"))?;
    let (heir_id, answer) =
        (heir.id.clone(), json!({ "ok": true, "newOwner": { "id": heir.id, "username": heir.username } }));
    if let Some(agent) = &mut data.accounts.owned_agent(&id, &caller.id)?.agent {
        agent.owner = Some(heir_id);
    }
    Ok(Json(answer))
}

async fn remove(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    app.data().accounts.owned_agent(&id, &caller.id)?;
    remove_account(&app, &id);
    Ok(Json(json!({ "ok": true })))
}

/// Returns keys of the agent's configuration. The credential is the agent's token, not a session.
async fn hosted(State(app): State<App>, headers: HeaderMap) -> ApiResult<Json<Value>> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
    let data = app.data();
    let agent = data.accounts.agent_of_token(&ids::sha256(token)).and_then(|account| account.agent.as_ref());
    let agent = agent.ok_or_else(|| ApiError::unauthorized("Invalid agent token"))?;
    let keys = ["soul_md", "config_yaml", "skills"];
    let set = keys.iter().filter_map(|key| Some((key.to_string(), agent.config.get(*key)?.clone())));
    Ok(Json(Value::Object(set.collect())))
}
