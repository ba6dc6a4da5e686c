//! The first check of every request: the request must name this server, and must not come from a page of another site.

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::error::ApiError;

pub(crate) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    match refusal(&app, &request) {
        None => next.run(request).await,
        Some(reason) => {
            app.log(|| format!("{} {} -> 403: {reason}", request.method(), request.uri().path()));
            ApiError::forbidden(reason).into_response()
        }
    }
}

fn refusal(app: &App, request: &Request) -> Option<String> {
    let access = &app.options().access;
    // Browsers always send a host, so a request without one (HTTP/1.0) is not from a browser.
    let named = request.uri().authority().map(|authority| authority.as_str());
    let hosts = request.headers().get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    for host in hosts.chain(named) {
        if !access.is_own_host(host) {
            let name = host.split(':').next().unwrap_or_default();
            return Some(format!(
                "The sandbox is not called {name:?}. If it is, start it with --allow-host {name}"
            ));
        }
    }
    let foreign = request.headers().get_all(ORIGIN).iter().find(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        !access.is_own_origin(origin)
    })?;
    Some(format!("Pages of {foreign:?} may not use the sandbox: only pages on this machine may"))
}
