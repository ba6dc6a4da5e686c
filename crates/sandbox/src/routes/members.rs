//! The members of an agency: join, leave, invite, add an agent.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::realtime::emit;
use crate::realtime::notify;
use crate::routes::caller::Caller;
use crate::store::invites::Invite;
use crate::store::members::members_json;

pub(crate) fn routes() -> Router<App> {
    // The reference names only users. The sandbox allows agents, too, because a running agent joins rooms.
    Router::new()
        .route("/api/agencies/{id}/join", post(join))
        .route("/api/agencies/{id}/leave", post(leave))
        .route("/api/agencies/{id}/members", get(members))
        .route("/api/agencies/{id}/invites", post(invite))
        .route("/api/agencies/invite/redeem", post(redeem))
        .route("/api/agencies/{id}/agents", post(add_agent))
}

async fn join(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let (id, new) = {
        let mut data = app.data();
        let agency = data.agencies.find_mut(&id)?;
        if agency.dm {
            return Err(ApiError::not_found("Agency not found"));
        }
        if agency.private && !agency.is_member(&caller.id) {
            let password = agency.password.as_ref();
            let password = password.ok_or_else(|| ApiError::forbidden("This agency is invite-only"))?;
            if !body.text(&["password"]).is_some_and(|given| password.matches(given)) {
                return Err(ApiError::forbidden("Incorrect password"));
            }
        }
        let new = agency.admit(&caller.id)?;
        (agency.id.clone(), new)
    };
    if new {
        notify::joined(&app, &id, &caller.id, None);
    }
    Ok(Json(json!({ "ok": true, "message": "Joined successfully", "agencyId": id })))
}

async fn leave(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let id = {
        let mut data = app.data();
        let lobby = data.agencies.lobby_id().to_owned();
        let agency = data.agencies.find_mut(&id)?;
        if agency.id == lobby {
            return Err(ApiError::forbidden("Nobody leaves the Lobby"));
        }
        if agency.dm || !agency.remove_member(&caller.id) {
            return Err(ApiError::bad_request("Not a member of this agency"));
        }
        agency.id.clone()
    };
    emit::leave_room(&app, &caller.id, &id);
    emit::members_changed(&app, &id);
    notify::notify_member(&app, &id, "member.left", &caller.id, None);
    Ok(Json(json!({ "ok": true })))
}

async fn members(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let agency = data.agencies.find(&id)?;
    agency.require_reader(&caller.id)?;
    Ok(Json(members_json(&data, agency)))
}

async fn invite(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let uses = match body.0.get("maxUses").or_else(|| body.0.get("max_uses")) {
        None | Some(Value::Null) => 1,
        Some(uses) => uses
            .as_u64()
            .filter(|uses| *uses > 0)
            .ok_or_else(|| ApiError::bad_request("maxUses must be a positive number"))?,
    };
    let span = body.text(&["expires", "expiresIn"]).map(|text| {
        clock::span(text).ok_or_else(|| ApiError::bad_request("expires must be like 30m, 24h or 7d"))
    });
    let expires_at = span.transpose()?.map(|span| clock::now_ms() + span.as_millis() as u64);
    let mut data = app.data();
    let agency = data.agencies.find(&id)?;
    agency.require_member(&caller.id)?;
    if agency.dm {
        return Err(ApiError::forbidden("No invites to a direct message"));
    }
    let invite = Invite { agency: agency.id.clone(), uses_left: uses, expires_at };
    let code = ids::hex(&ids::random::<5>());
    let expires_at = expires_at.map(clock::iso);
    // Subscribers get all fields except the code, which is a secret of the room.
    let public = json!({ "max_uses": uses, "expires_at": expires_at });
    let answer = json!({
        "code": code,
        "agencyId": invite.agency,
        "max_uses": uses,
        "expires_at": expires_at,
    });
    let agency = invite.agency.clone();
    data.agencies.invites.insert(code, invite);
    drop(data);
    notify::notify(&app, &agency, "invite.created", json!({ "invite": public }));
    Ok(Json(answer))
}

async fn redeem(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    let code = body.required("code")?;
    let (id, agency, new) = {
        let mut data = app.data();
        let invite = data.agencies.invites.get(code);
        let invite = invite.ok_or_else(|| ApiError::not_found("Invalid invite code"))?;
        if invite.expires_at.is_some_and(|at| at <= clock::now_ms()) || invite.uses_left == 0 {
            return Err(ApiError::bad_request("This invite has expired or is used up"));
        }
        let id = invite.agency.clone();
        let agency = data.agencies.find_mut(&id)?;
        let new = agency.admit(&caller.id)?;
        let agency = agency.short_json();
        // Only a new member uses up an invite.
        if let Some(invite) = data.agencies.invites.get_mut(code).filter(|_| new) {
            invite.uses_left -= 1;
        }
        (id, agency, new)
    };
    if new {
        notify::notify_member(&app, &id, "invite.redeemed", &caller.id, None);
        notify::joined(&app, &id, &caller.id, None);
    }
    Ok(Json(json!({ "ok": true, "agencyId": id, "agency": agency })))
}

async fn add_agent(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let (agency, agent_id, answer, new) = {
        let mut data = app.data();
        let agency = data.agencies.find(&id)?;
        agency.require_member(&caller.id)?;
        if agency.dm {
            return Err(ApiError::forbidden("No third party in a direct message"));
        }
        let id = agency.id.clone();
        let account = match (body.text(&["agentId", "agent_id"]), body.text(&["username"])) {
            (Some(id), _) => data.accounts.get(id).ok(),
            (None, Some(username)) => data.accounts.find(username),
            (None, None) => return Err(ApiError::bad_request("agentId or username is required")),
        };
        let account = account.filter(|account| account.agent.is_some());
        let account = account.ok_or_else(|| ApiError::not_found("Agent not found"))?;
        let answer = json!({ "ok": true, "agencyId": id, "agent": account.agent_json() });
        let agent_id = account.id.clone();
        let agency = data.agencies.find_mut(&id)?;
        let new = agency.admit(&agent_id)?;
        (agency.short_json(), agent_id, answer, new)
    };
    let id = agency.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    emit::emit_to_user(&app, &agent_id, "agency-invited", &json!({ "agencyId": id, "agency": agency }));
    if new {
        notify::joined(&app, &id, &agent_id, Some(&caller.id));
    }
    Ok(Json(answer))
}
