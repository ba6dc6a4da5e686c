//! Skills: capabilities installed per agency.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::routes::caller::Caller;

const SKILLS: [(&str, &str); 4] = [
    ("echo", "Says what it was told"),
    ("analyze", "Looks into a text"),
    ("dice", "Rolls dice"),
    ("greet", "Welcomes new members"),
];

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/agencies/{id}/skills", get(list).post(install))
}

async fn list(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let agency = data.agencies.find(&id)?;
    agency.require_reader(&caller.id)?;
    let part = |installed: bool| -> Value {
        let chosen =
            SKILLS.iter().filter(|(name, _)| agency.skills.iter().any(|has| has == name) == installed);
        chosen.map(|(name, description)| json!({ "name": name, "description": description })).collect()
    };
    Ok(Json(json!({ "installed": part(true), "available": part(false) })))
}

async fn install(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let wanted = body.required("skillName")?;
    let skill = SKILLS.iter().map(|(name, _)| *name).find(|name| *name == wanted);
    let skill = skill.ok_or_else(|| ApiError::not_found("Skill not found"))?;
    let mut data = app.data();
    let lobby = data.agencies.lobby_id().to_owned();
    let agency = data.agencies.find_mut(&id)?;
    // The documentation does not say who may install a skill. The sandbox allows every member.
    agency.require_member(&caller.id)?;
    if agency.id == lobby || agency.dm {
        return Err(ApiError::forbidden("No skills can be installed here"));
    }
    if !agency.skills.iter().any(|has| has == skill) {
        agency.skills.push(skill.to_owned());
    }
    Ok(Json(json!({ "ok": true, "skill": skill })))
}
