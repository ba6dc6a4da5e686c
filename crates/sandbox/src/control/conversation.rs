//! Acts as any account: posts, repeats, edits and deletes messages, answers permission requests and interrupts runs.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::app::App;
use crate::clock;
use crate::control::fields::Fields;
use crate::control::inspect::find;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::realtime::{emit, notify, post as messages, run_control};
use crate::store::dms::open_room;
use crate::store::signup::create_user;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/_sandbox/say", post(say))
        .route("/_sandbox/dm", post(dm))
        .route("/_sandbox/again", post(again))
        .route("/_sandbox/edit", post(edit))
        .route("/_sandbox/delete", post(delete))
        .route("/_sandbox/permission", post(permission))
        .route("/_sandbox/interrupt", post(interrupt))
        .route("/_sandbox/emit", post(emit_event))
}

/// The account of a name. Creates a user for an unknown name.
pub(crate) fn somebody(app: &App, name: Option<&str>) -> ApiResult<String> {
    let (id, new) = {
        let mut data = app.data();
        let known = match name {
            Some(name) => data.accounts.find(name),
            None => data.accounts.all().into_iter().find(|account| account.agent.is_none()),
        };
        match known {
            Some(account) => (account.id.clone(), false),
            None => {
                let name = name.unwrap_or("somebody").trim().trim_start_matches('@');
                // The password is random, because nobody logs in as this user.
                (create_user(&mut data, name, &ids::hex(&ids::random::<16>()), name)?, true)
            }
        }
    };
    if new {
        emit::lobby_changed(app);
    }
    Ok(id)
}

fn said(app: &App, room: &str, id: &str) -> ApiResult<Json<Value>> {
    let data = app.data();
    let message = data.agencies.find(room)?.messages.get(id).map(|message| message.json(false));
    Ok(Json(json!({ "id": id, "message": message })))
}

async fn say(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let text = fields.required("text")?;
    let metadata = fields.json("metadata")?;
    let room = find(&app.data(), fields.text("room").as_deref())?.id.clone();
    let account = somebody(&app, fields.text("as").as_deref())?;
    let metadata = if metadata.is_null() { json!({}) } else { metadata };
    let id = messages::post(&app, &room, &account, "chat", &text, metadata).map_err(ApiError::not_found)?;
    said(&app, &room, &id)
}

async fn dm(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let text = fields.required("text")?;
    let to = fields.required("to")?;
    let from = somebody(&app, fields.text("as").as_deref())?;
    let room = {
        let mut data = app.data();
        let to = data.accounts.find(&to).map(|account| account.id.clone());
        let to = to.ok_or_else(|| ApiError::not_found("There is nobody of that name to talk to"))?;
        open_room(&mut data, &from, &to)?.0
    };
    let id = messages::post(&app, &room, &from, "chat", &text, json!({})).map_err(ApiError::not_found)?;
    said(&app, &room, &id)
}

/// Posts a message again: the one with this id, or the last one of a user in the room.
async fn again(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let message = {
        let data = app.data();
        match fields.text("id") {
            Some(id) => data.agencies.all().into_iter().find_map(|room| room.messages.get(&id).cloned()),
            None => {
                let room = find(&data, fields.text("room").as_deref())?;
                room.messages.iter().rev().find(|message| message.sender_kind() == "user").cloned()
            }
        }
    };
    let message = message.ok_or_else(|| ApiError::not_found("There is no such message"))?;
    let room = message.agency_id;
    let id = messages::post(&app, &room, &message.sender_id, "chat", &message.content, message.metadata)
        .map_err(ApiError::not_found)?;
    said(&app, &room, &id)
}

async fn edit(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let (id, text) = (fields.required("id")?, fields.required("text")?);
    let edited = {
        let mut data = app.data();
        let mut rooms = data.agencies.by_id.values_mut();
        rooms.find_map(|room| {
            room.messages.edit(&id, |message| {
                message.content.clone_from(&text);
                message.edited_at = Some(clock::now_ms());
            })
        })
    };
    let edited = edited.ok_or_else(|| ApiError::not_found("There is no such message"))?;
    messages::show_edit(&app, &edited);
    said(&app, &edited.agency_id, &id)
}

async fn delete(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let id = fields.required("id")?;
    let gone = app.data().agencies.by_id.values_mut().find_map(|room| room.messages.remove(&id));
    let gone = gone.ok_or_else(|| ApiError::not_found("There is no such message"))?;
    app.wire().note("deleted", || json!({ "room": gone.agency_id, "id": id }));
    notify::notify_message(&app, &gone, "message.deleted");
    Ok(Json(json!({ "ok": true })))
}

/// The run with this id, or the newest one that has not ended.
fn run(app: &App, fields: &Fields) -> ApiResult<String> {
    let data = app.data();
    let run = match fields.text("run") {
        Some(id) => data.runs.get(&id),
        None => data.runs.0.iter().rev().find(|run| run.ended_at.is_none()),
    };
    run.map(|run| run.id.clone()).ok_or_else(|| ApiError::not_found("There is no such run"))
}

async fn permission(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let decision = fields.text("decision").unwrap_or_else(|| "approve".to_owned());
    let run = run(&app, &fields)?;
    let asked = match fields.text("permission") {
        Some(id) => Some(id),
        None => {
            let data = app.data();
            let steps = data.runs.get(&run).map(|run| run.activity.steps()).unwrap_or_default();
            let open = |step: &&serde_json::Map<String, Value>| {
                step.get("type").is_some_and(|kind| kind == "permission") && !step.contains_key("decision")
            };
            steps.iter().rfind(open).and_then(|step| step.get("id")?.as_str().map(str::to_owned))
        }
    };
    let asked = asked.ok_or_else(|| ApiError::not_found("This run asks for nothing"))?;
    run_control::answer(&app, &run, &asked, &decision, fields.text("message").as_deref());
    app.wire().note("run", || json!({ "run": run }));
    Ok(Json(json!({ "ok": true, "run": run, "permission": asked, "decision": decision })))
}

async fn interrupt(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let action = fields.text("action").unwrap_or_else(|| "stop".to_owned());
    if !["stop", "adjust"].contains(&action.as_str()) {
        return Err(ApiError::bad_request("action must be stop or adjust"));
    }
    let run = run(&app, &fields)?;
    run_control::interrupt(&app, &run, &action, fields.text("message").as_deref());
    Ok(Json(json!({ "ok": true, "run": run, "action": action })))
}

/// Sends any event to all sockets in a room or of one account, for events that the sandbox itself never sends.
async fn emit_event(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let event = fields.required("event")?;
    // Keep the text unchanged, even if a strict parser refuses it, for example because of half a surrogate pair.
    let raw = fields.text("raw").map(RawValue::from_string).transpose();
    let raw = raw.map_err(|error| ApiError::bad_request(format!("raw: {error}")))?;
    let payload = match raw {
        Some(raw) => raw,
        None => to_raw_value(&fields.json("payload")?)
            .map_err(|error| ApiError::bad_request(format!("payload: {error}")))?,
    };
    match fields.text("to") {
        Some(name) => {
            let account = app.data().accounts.find(&name).map(|account| account.id.clone());
            let account = account.ok_or_else(|| ApiError::not_found("There is nobody of that name"))?;
            emit::emit_to_user(&app, &account, &event, &payload);
        }
        None => {
            let room = find(&app.data(), fields.text("room").as_deref())?.id.clone();
            emit::emit_to_room(&app, &room, &event, &payload);
        }
    }
    Ok(Json(json!({ "ok": true })))
}
