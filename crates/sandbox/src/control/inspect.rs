//! Shows rooms, messages, runs, recorded events and requests, and the state of the sandbox.

use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::app::wire::mask;
use crate::clock;
use crate::control::fault;
use crate::demo;
use crate::error::{ApiError, ApiResult};
use crate::realtime::emit;
use crate::routes::agents::HOSTED;
use crate::script_lines::{line_of, text_of};
use crate::store::Data;
use crate::store::agencies::Agency;
use crate::store::members::{members_json, room_name};
use crate::store::messages::Message;

const DEFAULT_PAGE: usize = 200;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/_sandbox/rooms", get(rooms))
        .route("/_sandbox/messages", get(messages))
        .route("/_sandbox/script", get(script))
        .route("/_sandbox/runs", get(runs))
        .route("/_sandbox/state", get(state))
        .route("/_sandbox/events", get(events))
        .route("/_sandbox/handshakes", get(handshakes))
        .route("/_sandbox/requests", get(requests))
        .route("/_sandbox/violations", get(violations))
        .route("/_sandbox/claims", get(claims))
}

#[derive(Debug, Deserialize)]
struct In {
    room: Option<String>,
    limit: Option<usize>,
    /// The number of a message. The response has only later messages.
    after: Option<u64>,
}

/// A room by id, by slug, or `@one,@other` for a direct conversation. Defaults to the Lobby.
pub(crate) fn find<'d>(data: &'d Data, room: Option<&str>) -> ApiResult<&'d Agency> {
    let Some(room) = room.map(str::trim).filter(|room| !room.is_empty()) else {
        return data.agencies.find(data.agencies.lobby_id());
    };
    if let Some((one, other)) = room.split_once(',') {
        let [one, other] =
            [one, other].map(|name| data.accounts.find(name).map(|account| account.id.as_str()));
        let (Some(one), Some(other)) = (one, other) else {
            return Err(ApiError::not_found("There are no two such accounts"));
        };
        let all = data.agencies.all();
        let dm = all.into_iter().find(|room| room.dm && room.is_member(one) && room.is_member(other));
        return dm.ok_or_else(|| ApiError::not_found("They have no conversation yet"));
    }
    let unknown = || ApiError::not_found(format!("There is no room {room:?}: see /_sandbox/rooms"));
    data.agencies.find(room.trim_start_matches('#')).map_err(|_| unknown())
}

async fn rooms(State(app): State<App>) -> Json<Value> {
    let online = emit::online(&app);
    let data = app.data();
    let all = data.agencies.all().into_iter().map(|room| {
        let mut members = members_json(&data, room);
        for member in members.as_array_mut().into_iter().flatten() {
            let here = member["id"].as_str().is_some_and(|id| online.contains(id));
            if let Some(member) = member.as_object_mut() {
                member.insert("online".to_owned(), here.into());
            }
        }
        json!({
            "id": room.id,
            "name": room.name,
            "slug": (!room.dm).then_some(&room.slug),
            "charter": room.charter,
            "dm": room.dm,
            "private": room.private,
            "messages": room.messages.len(),
            "members": members,
        })
    });
    Json(all.collect())
}

async fn messages(State(app): State<App>, Query(query): Query<In>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let room = find(&data, query.room.as_deref())?;
    let after = query.after.unwrap_or(0);
    let newest = room.messages.iter().rev().filter(|message| message.number > after);
    let mut newest: Vec<&Message> = newest.take(query.limit.unwrap_or(DEFAULT_PAGE)).collect();
    newest.reverse();
    let now = clock::now_ms();
    let all = newest.into_iter().map(|message| {
        let mut json = message.json(false);
        if let Some(json) = json.as_object_mut() {
            json.insert("number".to_owned(), message.number.into());
            let at = message.edited_at.unwrap_or(message.created_at);
            json.insert("age_ms".to_owned(), now.saturating_sub(at).into());
        }
        json
    });
    Ok(Json(all.collect()))
}

/// The messages of a room, as a script.
async fn script(State(app): State<App>, Query(query): Query<In>) -> ApiResult<impl IntoResponse> {
    let data = app.data();
    let room = find(&data, query.room.as_deref())?;
    let name = room_name(&data, room);
    let mut last = None;
    let lines: Vec<_> = room
        .messages
        .iter()
        .filter_map(|message| {
            let pause = last.map_or(0, |at| message.created_at.saturating_sub(at));
            let line = line_of(message, &name, pause)?;
            last = Some(message.created_at);
            Some(line)
        })
        .collect();
    Ok(([(CONTENT_TYPE, "application/jsonl")], text_of(lines.iter())))
}

async fn runs(State(app): State<App>, Query(query): Query<In>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let room = match query.room.as_deref() {
        None => None,
        room => Some(find(&data, room)?.id.clone()),
    };
    let wanted = data.runs.0.iter().filter(|run| room.as_ref().is_none_or(|room| *room == run.agency));
    let skipped = wanted.clone().count().saturating_sub(query.limit.unwrap_or(50));
    let runs = wanted.skip(skipped).map(|run| {
        let mut json = run.json(true);
        if let Some(json) = json.as_object_mut() {
            json.insert("steps".to_owned(), json!(run.activity.steps()));
            json.insert("trigger".to_owned(), json!(run.trigger));
        }
        json
    });
    Ok(Json(runs.collect()))
}

/// The state of the sandbox: counts, settings and active faults.
pub(crate) async fn state(State(app): State<App>) -> Json<Value> {
    let online = emit::online(&app);
    let sockets = app.sockets().len();
    let faults = fault::active(&app);
    let demo = app.demo().map(|_| json!({ "user": demo::USER, "agent": demo::AGENT }));
    let data = app.data();
    let accounts = data.accounts.all().into_iter().map(|account| {
        let owner = account.agent.as_ref().and_then(|agent| agent.owner.as_deref());
        json!({
            "id": account.id,
            "username": account.username,
            "displayName": account.display_name,
            "type": account.kind(),
            "verified": account.agent.as_ref().map(|agent| agent.verified),
            "owner": owner.and_then(|id| data.accounts.get(id).ok()).map(|owner| &owner.username),
            "online": online.contains(&account.id),
        })
    });
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "time": clock::iso(clock::now_ms()),
        "lobby": data.agencies.lobby_id(),
        "accounts": accounts.collect::<Vec<Value>>(),
        "rooms": data.agencies.all().len(),
        "sockets": sockets,
        "faults": faults,
        "remembers": app.remembers(),
        "demo": demo,
        "hosted_config": HOSTED,
    }))
}

async fn events(State(app): State<App>) -> Json<Value> {
    let events = app.recorder().events().into_iter().map(|(name, mut payload)| {
        mask(&mut payload);
        json!({ "event": name, "payload": payload })
    });
    Json(events.collect())
}

/// The `auth` payloads of all CONNECTs.
async fn handshakes(State(app): State<App>) -> Json<Value> {
    let mut all: Value = app.recorder().handshakes().into();
    mask(&mut all);
    Json(all)
}

async fn requests(State(app): State<App>) -> Json<Value> {
    Json(json!(app.recorder().requests()))
}

async fn violations(State(app): State<App>) -> Json<Value> {
    Json(json!(app.data().run_rules.violations()))
}

/// The mails to people who claim an agent, with their links.
async fn claims(State(app): State<App>) -> Json<Value> {
    let data = app.data();
    let mails = data.claims.mails.iter().map(|mail| {
        json!({
            "email": mail.email,
            "agent": mail.agent_username,
            "link": format!("/api/agents/claim/verify/{}", mail.token),
        })
    });
    Json(mails.collect())
}
