//! Creates accounts and rooms, sets faults, clears and resets.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::control::conversation::somebody;
use crate::control::fault::{self, Fault};
use crate::control::fields::Fields;
use crate::control::inspect::find;
use crate::error::{ApiError, ApiResult};
use crate::realtime::{disconnect, emit, notify};
use crate::store::Data;
use crate::store::agencies::{Agency, ROLES};
use crate::store::signup::create_agent;
use crate::{demo, ids};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/_sandbox/user", post(user))
        .route("/_sandbox/agent", post(agent))
        .route("/_sandbox/room", post(room))
        .route("/_sandbox/member", post(member))
        .route("/_sandbox/fault", post(faults).get(active))
        .route("/_sandbox/clear", post(clear))
        .route("/_sandbox/reset", post(reset))
}

/// Creates a user and a personal access token. Only this response shows the token.
async fn user(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let name = fields.required("name")?;
    let id = somebody(&app, Some(&name))?;
    let mut data = app.data();
    if data.accounts.get(&id)?.agent.is_some() {
        return Err(ApiError::conflict("This is an agent: ask /_sandbox/agent for its token"));
    }
    let token = data.tokens.seed_personal(&id)?;
    Ok(Json(json!({ "id": id, "username": data.accounts.get(&id)?.username, "token": token })))
}

/// Creates a verified agent, and returns its token. If the agent exists, returns a new token.
async fn agent(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let name = fields.required("name")?;
    let owner = fields.text("owner");
    let known = app.data().accounts.find(&name).map(|account| (account.id.clone(), account.agent.is_some()));
    let (id, token) = match known {
        Some((_, false)) => return Err(ApiError::conflict("This name belongs to a person")),
        Some((id, true)) => {
            let token = format!("sk_{}", ids::hex(&ids::random::<24>()));
            if let Some(agent) = &mut app.data().accounts.get_mut(&id)?.agent {
                agent.token_hash = ids::sha256(&token);
            }
            (id, token)
        }
        None => {
            let owner = somebody(&app, owner.as_deref())?;
            let made = create_agent(&mut app.data(), &name, Some(&owner), None, true)?;
            emit::lobby_changed(&app);
            made
        }
    };
    let username = app.data().accounts.get(&id)?.username.clone();
    Ok(Json(json!({ "id": id, "username": username, "token": token })))
}

async fn room(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let name = fields.required("name")?;
    let owner = somebody(&app, fields.text("owner").as_deref())?;
    let mut data = app.data();
    let agency = data.agencies.add(Agency {
        name,
        charter: fields.text("charter"),
        owner: Some(owner.clone()),
        private: fields.text("private").as_deref() == Some("true"),
        ..Agency::default()
    });
    agency.add_member(&owner, "owner");
    let answer = agency.short_json();
    drop(data);
    app.wire().note("room", || answer.clone());
    Ok(Json(answer))
}

/// Adds a member to a room, with an optional role. A connected agent gets an event.
async fn member(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let who = somebody(&app, Some(&fields.required("name")?))?;
    let role =
        match fields.text("role") {
            None => None,
            Some(role) => {
                let known = ROLES.into_iter().find(|known| *known == role);
                Some(known.ok_or_else(|| {
                    ApiError::bad_request(format!("role must be one of {}", ROLES.join(", ")))
                })?)
            }
        };
    let (room, short, new) = {
        let mut data = app.data();
        let id = find(&data, fields.text("room").as_deref())?.id.clone();
        let agency = data.agencies.find_mut(&id)?;
        let new = agency.add_member(&who, role.unwrap_or("member"));
        for member in agency.members.iter_mut().filter(|member| member.account == who) {
            member.role = role.unwrap_or(member.role);
        }
        (id, agency.short_json(), new)
    };
    if new {
        emit::emit_to_user(&app, &who, "agency-invited", &json!({ "agencyId": room, "agency": short }));
        notify::joined(&app, &room, &who, None);
    }
    Ok(Json(json!({ "ok": true, "room": room, "new": new })))
}

/// Sets faults. Each field is one fault; the field `fault` can contain several, as on the command line.
async fn faults(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let mut all = Vec::new();
    for (name, value) in &fields.0 {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let parsed = match name.as_str() {
            "fault" => Fault::parse_all(&value),
            name => Fault::parse(name, &value).map(|fault| vec![fault]),
        };
        all.extend(parsed.map_err(ApiError::bad_request)?);
    }
    if all.is_empty() {
        return Err(ApiError::bad_request(format!("Which fault? There are:\n{}", fault::HELP)));
    }
    for fault in all {
        fault.apply(&app).map_err(ApiError::not_found)?;
    }
    Ok(active(State(app)).await)
}

async fn active(State(app): State<App>) -> Json<Value> {
    Json(json!({ "faults": fault::active(&app) }))
}

/// Deletes messages, runs and records. Keeps accounts, tokens, rooms and connections. With `only=records`, deletes only the
/// recorded events and requests.
async fn clear(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let only = fields.text("only");
    if only.as_deref().is_some_and(|only| only != "records") {
        return Err(ApiError::bad_request("only can be: records"));
    }
    if only.is_none() {
        let mut data = app.data();
        for room in data.agencies.by_id.values_mut() {
            room.messages.clear();
        }
        data.runs.clear();
        data.run_rules = Default::default();
    }
    app.recorder().clear();
    app.wire().clear();
    app.wire().note("cleared", || json!({}));
    Ok(Json(json!({ "ok": true })))
}

/// Deletes everything, and creates the demo's user and agent again with their tokens.
async fn reset(State(app): State<App>) -> ApiResult<Json<Value>> {
    Fault::Off.apply(&app).map_err(ApiError::bad_request)?;
    disconnect::cut_all(&app);
    {
        let mut data = app.data();
        let lobby = data.agencies.lobby_id().to_owned();
        let mut fresh = Data::default();
        // Keep the Lobby's id, because clients know the Lobby by it.
        fresh.agencies.lobby = lobby;
        fresh.agencies.lobby_mut();
        if app.remembers() {
            fresh.track();
            // Writes the deletion to the log.
            fresh.agencies.lobby_mut().messages.clear();
        }
        data.runs.clear();
        fresh.runs = std::mem::take(&mut data.runs);
        *data = fresh;
    }
    demo::restore(&app)?;
    app.recorder().clear();
    app.wire().clear();
    app.wire().note("cleared", || json!({}));
    Ok(Json(json!({ "ok": true })))
}
