//! `/metrics`, and the middleware that counts and times requests.

use std::fmt::Write;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::app::App;
use crate::error::{ApiError, ApiResult};

/// Counts and times every REST request, by the pattern of its path.
pub(crate) async fn measure(
    State(app): State<App>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let path = path.as_ref().map_or("unknown", MatchedPath::as_str);
    let labels = format!("method=\"{}\",path=\"{path}\"", request.method());
    let start = Instant::now();
    let response = next.run(request).await;
    app.metrics().took("http_request_duration_seconds", &labels, start.elapsed());
    let labels = format!("{labels},status=\"{}\"", response.status().as_u16());
    app.metrics().count("http_requests_total", &labels);
    response
}

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

#[derive(Deserialize)]
struct KeyQuery {
    key: Option<String>,
}

async fn metrics(
    State(app): State<App>,
    Query(query): Query<KeyQuery>,
    headers: HeaderMap,
) -> ApiResult<String> {
    if let Some(secret) = app.options().metrics_secret.as_deref() {
        let header = headers.get("x-metrics-key").and_then(|key| key.to_str().ok());
        if header.or(query.key.as_deref()) != Some(secret) {
            return Err(ApiError::unauthorized("Invalid metrics key"));
        }
    }
    let mut text = app.metrics().text();
    for (name, value) in gauges(&app) {
        let _ = writeln!(text, "# TYPE {name} gauge\n{name} {value}");
    }
    Ok(text)
}

fn gauges(app: &App) -> [(&'static str, usize); 9] {
    let connections = app.sockets().len();
    let data = app.data();
    let (agents, users): (Vec<_>, Vec<_>) =
        data.accounts.all().into_iter().partition(|account| account.agent.is_some());
    let rooms = data.agencies.all();
    let unclaimed = agents.iter().filter(|a| a.agent.as_ref().is_some_and(|a| a.owner.is_none())).count();
    [
        ("crustocean_users_total", users.len()),
        ("crustocean_agents_total", agents.len()),
        ("crustocean_agents_unclaimed", unclaimed),
        ("crustocean_agencies_total", rooms.iter().filter(|room| !room.dm).count()),
        ("crustocean_messages_total", rooms.iter().map(|room| room.messages.len()).sum()),
        ("crustocean_memberships_total", rooms.iter().map(|room| room.members.len()).sum()),
        ("crustocean_hooks_active", data.hooks.0.iter().filter(|hook| hook.enabled).count()),
        ("crustocean_claims_pending", data.pending_claims()),
        ("socket_connections_current", connections),
    ]
}
