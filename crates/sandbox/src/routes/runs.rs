//! The runs of an agency and their transcripts.

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::routes::caller::Caller;

const DEFAULT_PAGE: usize = 20;
const MAX_PAGE: usize = 100;

#[derive(Debug, Deserialize)]
struct Page {
    limit: Option<String>,
    offset: Option<String>,
}

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/agencies/{id}/runs", get(list)).route("/api/runs/{id}", get(read))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> ApiResult<Json<Value>> {
    let data = app.data();
    let agency = data.agencies.find(&id)?;
    agency.require_reader(&caller.id)?;
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let runs = data.runs.0.iter().rev().filter(|run| run.agency == agency.id);
    let runs = runs
        .skip(number(page.offset.as_deref()).unwrap_or(0))
        .take(number(page.limit.as_deref()).unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE));
    Ok(Json(runs.map(|run| run.json(false)).collect()))
}

async fn read(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let run = data.runs.0.iter().rev().find(|run| run.id == id);
    let run = run.ok_or_else(|| ApiError::not_found("Run not found"))?;
    if let Some(agency) = data.agencies.get(&run.agency) {
        agency.require_reader(&caller.id)?;
    }
    Ok(Json(run.json(true)))
}
