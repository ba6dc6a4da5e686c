//! Misbehaviour on demand: the next requests fail or are late.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::{ApiError, ApiResult};
use crate::state::App;

#[derive(Debug, Clone, Copy)]
struct Failure {
    status: StatusCode,
    retry_after: Option<Duration>,
}

#[derive(Debug, Default)]
struct Pending {
    failures: VecDeque<Failure>,
    delays: VecDeque<Duration>,
    /// Rooms whose history nobody may read.
    closed_histories: HashSet<String>,
    slow_hooks: Option<Duration>,
}

/// What has been asked for and has not happened yet.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Pending>);

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fail_next(&self, count: usize, status: u16, retry_after: Option<Duration>) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.lock().failures.extend(std::iter::repeat_n(Failure { status, retry_after }, count));
    }

    pub(crate) fn delay_next(&self, count: usize, delay: Duration) {
        self.lock().delays.extend(std::iter::repeat_n(delay, count));
    }

    pub(crate) fn forbid_history(&self, agency: &str, on: bool) {
        let closed = &mut self.lock().closed_histories;
        if on {
            closed.insert(agency.to_owned());
        } else {
            closed.remove(agency);
        }
    }

    pub(crate) fn check_history(&self, agency: &str) -> ApiResult<()> {
        if self.lock().closed_histories.contains(agency) {
            return Err(ApiError::forbidden("You may not read this history"));
        }
        Ok(())
    }

    pub(crate) fn set_slow_hooks(&self, delay: Duration) {
        self.lock().slow_hooks = Some(delay).filter(|delay| !delay.is_zero());
    }

    pub(crate) fn slow_hooks(&self) -> Option<Duration> {
        self.lock().slow_hooks
    }
}

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
