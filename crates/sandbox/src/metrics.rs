//! The platform's metrics, as Prometheus text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::error::{ApiError, ApiResult};
use crate::state::App;

/// Counters that are there, with 0, before anything has happened; those with labels come with their first value.
const PLAIN_COUNTERS: [&str; 6] = [
    "socket_connections_total",
    "agent_registrations_total",
    "claims_completed_total",
    "claims_expired_total",
    "socket_events_errors_total",
    "agent_queue_fallback_total",
];
/// Upper ends in milliseconds and as they are written.
const BUCKETS: [(u128, &str); 4] = [(10, "0.01"), (100, "0.1"), (1_000, "1"), (10_000, "10")];

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: Duration,
}

#[derive(Debug, Default)]
struct Series {
    counters: BTreeMap<(&'static str, String), u64>,
    histograms: BTreeMap<(&'static str, String), Histogram>,
}

/// What has been counted and timed so far.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Series>);

impl Metrics {
    pub(crate) fn count(&self, name: &'static str, labels: &str) {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *series.counters.entry((name, labels.to_owned())).or_default() += 1;
    }

    pub(crate) fn took(&self, name: &'static str, labels: &str, time: Duration) {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = series.histograms.entry((name, labels.to_owned())).or_default();
        for (bucket, (end, _)) in histogram.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(time.as_millis() <= end);
        }
        histogram.count += 1;
        histogram.sum += time;
    }

    fn text(&self) -> String {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        let mut typed = "";
        let plain = PLAIN_COUNTERS.map(|name| ((name, String::new()), 0));
        let mut counters: BTreeMap<_, u64> = plain.into_iter().collect();
        counters.extend(series.counters.iter().map(|(key, value)| (key.clone(), *value)));
        // Writing to a String does not fail.
        for ((name, labels), value) in &counters {
            if *name != typed {
                let _ = writeln!(out, "# TYPE {name} counter");
                typed = name;
            }
            let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            let _ = writeln!(out, "{name}{labels} {value}");
        }
        for ((name, labels), histogram) in &series.histograms {
            if *name != typed {
                let _ = writeln!(out, "# TYPE {name} histogram");
                typed = name;
            }
            for (count, (_, end)) in histogram.buckets.iter().zip(BUCKETS) {
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{end}\"}} {count}");
            }
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", histogram.count);
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}", histogram.sum.as_secs_f64());
            let _ = writeln!(out, "{name}_count{{{labels}}} {}", histogram.count);
        }
        out
    }
}

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
