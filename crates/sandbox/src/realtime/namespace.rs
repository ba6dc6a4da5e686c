//! The Socket.IO namespace `/`: accepts or refuses connections, and passes each event to its handler.

use crate::realtime::emit::{self, own_room, presence};

use axum::extract::connect_info::ConnectInfo;
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;

use crate::app::App;
use crate::app::links::LinkId;
use crate::ids;
use crate::realtime::room;
use crate::store::identity::Identity;

/// Registers the namespace `/`.
pub(crate) fn serve(io: &SocketIo, app: &App) {
    let (gate, inner) = (app.clone(), app.clone());
    let authenticate = move |socket: SocketRef, TryData(auth): TryData<Value>| {
        let answer = authenticate(&gate, &socket, auth.unwrap_or_default());
        async move { answer }
    };
    let connected = move |socket: SocketRef| {
        connected(&inner, &socket);
        async {}
    };
    io.ns("/", connected.with(authenticate));
}

fn authenticate(app: &App, socket: &SocketRef, auth: Value) -> Result<(), &'static str> {
    let token = auth.get("token").and_then(Value::as_str).map(ids::sha256);
    app.recorder().handshake(&auth);
    let account = token.as_deref().and_then(|token| app.account_of(token));
    let data = app.data();
    let identity = account.and_then(|id| {
        let account = data.accounts.get(&id).ok()?;
        Some(Identity { username: account.username.clone(), account: id })
    });
    drop(data);
    let user = identity.as_ref().map_or("nobody", |identity| &identity.username).to_owned();
    app.log(|| format!("CONNECT {user} -> {}", if identity.is_some() { "ok" } else { "refused" }));
    app.wire().note(if identity.is_some() { "connect" } else { "refused" }, || json!({ "from": user }));
    match (identity, token) {
        (Some(identity), _) => {
            socket.extensions.insert(identity);
            Ok(())
        }
        // The platform's wording is not documented.
        (None, None) => Err("Authentication required"),
        (None, Some(_)) => Err("Invalid or expired token"),
    }
}

fn connected(app: &App, socket: &SocketRef) {
    let Some(identity) = socket.extensions.get::<Identity>() else { return };
    let link = socket.req_parts().extensions.get::<ConnectInfo<LinkId>>();
    app.links().begin(socket.id.as_str(), link.map(|ConnectInfo(LinkId(id))| *id));
    socket.join(own_room(&identity.account));
    app.metrics().count("socket_connections_total", "");
    let (events, gone) = (app.clone(), app.clone());
    // Use one handler for all events: it keeps their order, and also records unknown events.
    socket.on_fallback(
        move |socket: SocketRef, Event(name): Event, TryData(payload): TryData<Value>, ack: AckSender| {
            received(&events, &socket, &name, payload.unwrap_or_default(), ack);
            async {}
        },
    );
    socket.on_disconnect(move |socket: SocketRef| {
        gone.links().end(socket.id.as_str());
        if let Some(identity) = socket.extensions.get::<Identity>() {
            gone.log(|| format!("DISCONNECT {}", identity.username));
            gone.wire().note("disconnect", || json!({ "from": identity.username }));
            for room in socket.rooms() {
                presence(&gone, &socket, &room, "offline");
            }
        }
        async {}
    });
}

fn received(app: &App, socket: &SocketRef, name: &str, payload: Value, ack: AckSender) {
    let Some(identity) = socket.extensions.get::<Identity>() else { return };
    app.log(|| format!("EVENT {name} from {}", identity.username));
    app.wire().note("in", || json!({ "from": identity.username, "event": name, "payload": payload }));
    let result = app.recorder().event(name, &payload, || match name {
        "join-agency" => room::join(app, socket, &identity, &payload),
        "send-message" => room::send(app, socket, &identity, &payload, ack),
        "edit-message" => room::edit(app, socket, &identity, &payload),
        "agent-thinking" => room::relay(app, socket, &identity, name, &payload),
        name if name.starts_with("agent-run-") => room::relay(app, socket, &identity, name, &payload),
        // The Node server also ignores events without a handler.
        _ => Ok(()),
    });
    if let Err(message) = result {
        app.metrics().count("socket_events_errors_total", "");
        app.log(|| format!("EVENT {name} from {} -> error: {message}", identity.username));
        emit::emit_to_socket(app, socket, "error", &json!({ "message": message }));
    }
}
