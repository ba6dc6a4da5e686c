//! The history of a room.

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::value::RawValue;

use crate::app::App;
use crate::error::ApiResult;
use crate::routes::caller::Caller;
use crate::store::history::{HistoryQuery, history};

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/agencies/{id}/messages", get(read))
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> ApiResult<Json<Vec<Box<RawValue>>>> {
    let data = app.data();
    let agency = data.agencies.find(&id)?;
    agency.require_reader(&caller.id)?;
    app.faults().check_history(&agency.id)?;
    Ok(Json(history(agency, &query, &app.faults().lock().altered)?))
}
