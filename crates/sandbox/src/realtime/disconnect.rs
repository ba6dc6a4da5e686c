//! Closes Socket.IO connections, and refuses closed sessions.

use crate::app::links::LinkId;

use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use serde_json::json;
use socketioxide::extract::SocketRef;
use tokio::runtime::Handle;

use crate::app::App;
use crate::store::identity::Identity;

/// Closes all Socket.IO connections. Call it within the runtime.
pub(crate) fn cut_all(app: &App) {
    let sockets = app.sockets();
    app.links().cut(sockets.iter().map(|socket| socket.id.to_string()));
    for socket in sockets {
        // The connection is closed already. This call makes the server remove the socket at once.
        let _ = socket.disconnect();
    }
}

/// Closes the connection of a client that does not read, when too many bytes wait for it.
pub(crate) fn cut_one(app: &App, socket: &SocketRef) {
    let name = socket.extensions.get::<Identity>().map(|identity| identity.username);
    app.log(|| format!("CUT {}: it does not read what is sent to it", name.as_deref().unwrap_or("nobody")));
    app.wire().note("cut", || json!({ "from": name, "reason": "it does not read what is sent to it" }));
    let _runtime = app.runtime().map(Handle::enter);
    app.links().cut_session(socket.id.as_str());
    let _ = socket.clone().disconnect();
}

/// Middleware of Socket.IO: marks the connection as one that faults can close, and refuses closed sessions.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let controls = path == "/" || path.starts_with("/_sandbox");
    if !controls && app.faults().is_refusing() {
        app.wire().note("cut", || json!({ "path": path }));
        if let Some(ConnectInfo(LinkId(id))) = request.extensions().get::<ConnectInfo<LinkId>>() {
            app.links().cut_one(*id);
        }
        // The connection is closed, so no client gets this response.
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if !path.starts_with("/socket.io") {
        return next.run(request).await;
    }
    {
        let mut registry = app.links().lock();
        let sid = request
            .uri()
            .query()
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("sid=")));
        if sid.is_some_and(|sid| registry.dead.contains(sid)) {
            // The Node server's response to an unknown session.
            let body = r#"{"code":1,"message":"Session ID unknown"}"#;
            return (StatusCode::BAD_REQUEST, [("content-type", "application/json")], body).into_response();
        }
        if let Some(ConnectInfo(LinkId(id))) = request.extensions().get::<ConnectInfo<LinkId>>()
            && let Some(link) = registry.links.get_mut(id)
        {
            link.socket = true;
            if let Some(sid) = sid {
                link.session = Some(sid.to_owned());
            }
        }
    }
    next.run(request).await
}
