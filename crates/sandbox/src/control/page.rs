//! The page of the sandbox: one HTML file inside the program.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_FRAME_OPTIONS};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::app::App;

const PAGE: &str = include_str!("page.html");
/// The page shows text from clients, so only the page's own script may run, and it may contact only this server.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/_sandbox", get(page))
        .route("/_sandbox/", get(async || Redirect::permanent("/_sandbox")))
        .route("/", get(async || Redirect::temporary("/_sandbox")))
}

async fn page() -> Response {
    let headers = [(CONTENT_SECURITY_POLICY, POLICY), (X_FRAME_OPTIONS, "DENY"), (CACHE_CONTROL, "no-store")];
    (headers, Html(PAGE)).into_response()
}
