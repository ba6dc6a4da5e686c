//! What every REST request passes first: it is recorded, delayed or refused.

use crate::app::faults::Failure;

use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::error::ApiError;

/// Stands before every REST endpoint: records, delays, fails, then lets the request through.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    // Without the query and without claim codes: nothing secret may end up in a log.
    let path = request.uri().path();
    let path = if path.starts_with("/api/agents/claim/") { "/api/agents/claim/…" } else { path };
    let line = format!("{} {path}", request.method());
    app.recorder().request(line.clone());
    let (delay, failure) = {
        let mut pending = app.faults().lock();
        (pending.delays.pop_front(), pending.failures.pop_front())
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
    response
}

fn fail(failure: Failure) -> Response {
    let reason = failure.status.canonical_reason().unwrap_or("Failed on request");
    let mut response = ApiError::new(failure.status, reason).into_response();
    if let Some(after) = failure.retry_after {
        // The header counts whole seconds; round up so that nobody comes back too early.
        let seconds = after.as_millis().div_ceil(1_000);
        if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
            response.headers_mut().insert(RETRY_AFTER, value);
        }
    }
    response
}
