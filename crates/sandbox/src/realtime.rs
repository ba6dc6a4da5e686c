//! The Socket.IO side: who is connected, and sending to rooms and accounts.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;

use crate::chat;
use crate::ids;
use crate::state::App;

/// The account of a connected socket.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) account: String,
    pub(crate) username: String,
}

/// The room that all sockets of an account are in; agencies' rooms are called by their ids.
fn own_room(account: &str) -> String {
    format!("account:{account}")
}

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
    app.recorder().handshake(auth);
    let mut data = app.data();
    let account = token.as_deref().and_then(|token| data.tokens.resolve(token));
    let identity = account.and_then(|id| {
        let account = data.accounts.get(&id).ok()?;
        Some(Identity { username: account.username.clone(), account: id })
    });
    drop(data);
    let user = identity.as_ref().map_or("nobody", |identity| &identity.username).to_owned();
    app.log(|| format!("CONNECT {user} -> {}", if identity.is_some() { "ok" } else { "refused" }));
    match (identity, token) {
        (Some(identity), _) => {
            socket.extensions.insert(identity);
            Ok(())
        }
        // The wording of the platform is not documented.
        (None, None) => Err("Authentication required"),
        (None, Some(_)) => Err("Invalid or expired token"),
    }
}

fn connected(app: &App, socket: &SocketRef) {
    let Some(identity) = socket.extensions.get::<Identity>() else { return };
    socket.join(own_room(&identity.account));
    app.metrics().count("socket_connections_total", "");
    let (events, gone) = (app.clone(), app.clone());
    // One handler for all events: it keeps their order, and unknown ones are on record, too.
    socket.on_fallback(
        move |socket: SocketRef, Event(name): Event, TryData(payload): TryData<Value>, ack: AckSender| {
            received(&events, &socket, &name, payload.unwrap_or_default(), ack);
            async {}
        },
    );
    socket.on_disconnect(move |socket: SocketRef| {
        if let Some(identity) = socket.extensions.get::<Identity>() {
            gone.log(|| format!("DISCONNECT {}", identity.username));
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
    let result = app.recorder().event(name, payload.clone(), || match name {
        "join-agency" => chat::join(app, socket, &identity, &payload),
        "send-message" => chat::send(app, socket, &identity, &payload, ack),
        "edit-message" => chat::edit(app, socket, &identity, &payload),
        "agent-thinking" => chat::relay(app, socket, &identity, name, &payload),
        name if name.starts_with("agent-run-") => chat::relay(app, socket, &identity, name, &payload),
        // The Node server, too, ignores what it has no handler for.
        _ => Ok(()),
    });
    if let Err(message) = result {
        app.metrics().count("socket_events_errors_total", "");
        app.log(|| format!("EVENT {name} from {} -> error: {message}", identity.username));
        let _ = socket.emit("error", &json!({ "message": message }));
    }
}

pub(crate) fn in_room(socket: &SocketRef, agency: &str) -> bool {
    socket.rooms().iter().any(|room| room.as_ref() == agency)
}

fn sockets(app: &App, room: &str) -> Vec<SocketRef> {
    app.io().map_or_else(Vec::new, |io| io.within(room.to_owned()).sockets())
}

/// To every socket in a room. A socket that cannot take it is on its way out: the others still get theirs.
pub(crate) fn emit_to_room(app: &App, agency: &str, event: &str, payload: &impl Serialize) {
    for socket in sockets(app, agency) {
        let _ = socket.emit(event, payload);
    }
}

/// To everybody in a room except the one who caused it.
pub(crate) fn emit_to_others(app: &App, from: &SocketRef, agency: &str, event: &str, payload: &Value) {
    for socket in sockets(app, agency) {
        if socket.id != from.id {
            let _ = socket.emit(event, payload);
        }
    }
}

/// To every socket of an account.
pub(crate) fn emit_to_user(app: &App, account: &str, event: &str, payload: &Value) {
    emit_to_room(app, &own_room(account), event, payload);
}

/// The payload of `members-updated` is not documented: the room is what a client needs to know.
pub(crate) fn members_changed(app: &App, agency: &str) {
    emit_to_room(app, agency, "members-updated", &json!({ "agencyId": agency }));
}

pub(crate) fn lobby_changed(app: &App) {
    let lobby = app.data().agencies.lobby_id().to_owned();
    members_changed(app, &lobby);
}

/// The payload of `member-presence` is not documented either.
pub(crate) fn presence(app: &App, socket: &SocketRef, agency: &str, status: &str) {
    let Some(identity) = socket.extensions.get::<Identity>() else { return };
    let payload = json!({
        "agencyId": agency,
        "userId": identity.account,
        "username": identity.username,
        "status": status,
    });
    emit_to_others(app, socket, agency, "member-presence", &payload);
}

/// Accounts with a live socket.
pub(crate) fn online(app: &App) -> HashSet<String> {
    let sockets = app.sockets();
    let identities = sockets.iter().filter_map(|socket| socket.extensions.get::<Identity>());
    identities.map(|identity| identity.account).collect()
}

/// Takes the sockets of an account out of a room.
pub(crate) fn leave_room(app: &App, account: &str, agency: &str) {
    for socket in sockets(app, &own_room(account)) {
        socket.leave(agency.to_owned());
    }
}

/// Nobody is left in the room of an agency that is gone.
pub(crate) fn close_room(app: &App, agency: &str) {
    for socket in sockets(app, agency) {
        socket.leave(agency.to_owned());
    }
}

/// Says goodbye to all sockets of an account.
pub(crate) fn disconnect(app: &App, account: &str) {
    for socket in sockets(app, &own_room(account)) {
        let _ = socket.disconnect();
    }
}
