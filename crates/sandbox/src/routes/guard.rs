//! The middleware of every REST request: it records, delays and refuses requests.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use serde_json::json;

use crate::app::App;
use crate::app::faults::Failure;
use crate::error::ApiError;
use crate::ids;

/// Records, delays or fails a request, and otherwise passes it on.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    // Omit the query and claim codes, so that no secret gets into a log.
    let path = request.uri().path();
    let path = if path.starts_with("/api/agents/claim/") { "/api/agents/claim/…" } else { path };
    let (method, path) = (request.method().clone(), path.to_owned());
    let line = format!("{method} {path}");
    let started = Instant::now();
    let from = app.wire().is_on().then(|| who(&app, &request)).flatten();
    app.recorder().request(line.clone());
    let (delay, failure) = {
        let mut pending = app.faults().lock();
        let by_chance =
            pending.fail_rate.filter(|(rate, _)| u32::from_be_bytes(ids::random()) % 1_000 < *rate);
        let by_chance = by_chance.map(|(_, status)| Failure { status, retry_after: None });
        (pending.delays.pop_front(), pending.failures.pop_front().or(by_chance))
    };
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
    let failure = failure.or_else(|| {
        let limits = app.options().rate_limits.then(|| app.limits())?;
        let wait = (request.method() == Method::POST).then(|| limits.refuse(request.uri().path()))??;
        Some(Failure { status: StatusCode::TOO_MANY_REQUESTS, retry_after: Some(wait) })
    });
    let response = match failure {
        Some(failure) => fail(failure),
        None => next.run(request).await,
    };
    app.log(|| format!("{line} -> {}", response.status().as_u16()));
    app.wire().note("rest", || {
        let ms = started.elapsed().as_millis() as u64;
        json!({ "from": from, "method": method.as_str(), "path": path, "status": response.status().as_u16(), "ms": ms })
    });
    response
}

/// The account whose token a request has.
fn who(app: &App, request: &Request) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (_, token) = header.split_once(' ')?;
    let data = app.data();
    let account = data.tokens.resolve(&ids::sha256(token.trim()))?;
    Some(data.accounts.get(&account).ok()?.username.clone())
}

fn fail(failure: Failure) -> Response {
    let reason = failure.status.canonical_reason().unwrap_or("Failed on request");
    let mut response = ApiError::new(failure.status, reason).into_response();
    if let Some(after) = failure.retry_after {
        // The header has whole seconds. Round up, so that no client retries too early.
        let seconds = after.as_millis().div_ceil(1_000);
        if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
            response.headers_mut().insert(RETRY_AFTER, value);
        }
    }
    response
}
