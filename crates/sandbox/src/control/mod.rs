//! The sandbox's own paths, `/_sandbox/…`: whoever develops a bot asks for them, no client of the platform does.

pub(crate) mod admin;
pub(crate) mod fault;
pub(crate) mod feed;
pub(crate) mod fields;
pub(crate) mod look;
pub(crate) mod page;
pub(crate) mod talk;
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
        .merge(look::routes())
        .merge(feed::routes())
        .merge(talk::routes())
        .merge(wait::routes())
        .merge(admin::routes())
        .layer(from_fn_with_state(app.clone(), spare))
}

/// Faults are for bots: the connection of whoever asks for them is spared from now on.
async fn spare(State(app): State<App>, request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(LinkId(id))) = request.extensions().get::<ConnectInfo<LinkId>>()
        && let Some(link) = app.links().lock().links.get(id)
    {
        link.control.store(true, Ordering::Relaxed);
    }
    next.run(request).await
}
