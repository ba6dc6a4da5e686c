//! The sandbox's own paths, `/_sandbox/…`, for developers of bots. No client of the platform uses them.

pub(crate) mod admin;
pub(crate) mod conversation;
pub(crate) mod fault;
pub(crate) mod feed;
pub(crate) mod fields;
pub(crate) mod inspect;
pub(crate) mod page;
pub(crate) mod wait;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use std::sync::atomic::Ordering;

use crate::app::App;
use crate::app::links::LinkId;

pub(crate) fn routes(app: &App) -> Router<App> {
    Router::new()
        .merge(page::routes())
        .merge(inspect::routes())
        .merge(feed::routes())
        .merge(conversation::routes())
        .merge(wait::routes())
        .merge(admin::routes())
        .layer(from_fn_with_state(app.clone(), mark_as_control))
}

/// Marks the connection of a control request, so that faults no longer affect it.
async fn mark_as_control(State(app): State<App>, request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(LinkId(id))) = request.extensions().get::<ConnectInfo<LinkId>>()
        && let Some(link) = app.links().lock().links.get(id)
    {
        link.control.store(true, Ordering::Relaxed);
    }
    next.run(request).await
}
