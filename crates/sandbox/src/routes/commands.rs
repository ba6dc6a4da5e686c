//! The list of slash commands.

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::realtime::commands::list;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/commands", get(list))
}

async fn list() -> Json<Value> {
    let all = list::all()
        .map(|(name, description)| json!({ "name": name, "description": description, "type": "platform" }));
    Json(all.collect())
}
