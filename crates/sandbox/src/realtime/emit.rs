//! Sends events to rooms and accounts, and lists the connected accounts.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, SocketRef};

use crate::app::App;
use crate::realtime::disconnect;
use crate::store::identity::Identity;

/// The Socket.IO room of an account's sockets. The rooms of agencies have the agencies' ids.
pub(crate) fn own_room(account: &str) -> String {
    format!("account:{account}")
}

pub(crate) fn in_room(socket: &SocketRef, agency: &str) -> bool {
    socket.rooms().iter().any(|room| room.as_ref() == agency)
}

fn sockets(app: &App, room: &str) -> Vec<SocketRef> {
    app.io().map_or_else(Vec::new, |io| io.within(room.to_owned()).sockets())
}

/// Sends an event to every socket in a room. Ignores sockets that are closing.
pub(crate) fn emit_to_room(app: &App, agency: &str, event: &str, payload: &impl Serialize) {
    emit_to(app, sockets(app, agency), event, payload);
}

/// Sends an event to all sockets in a room except `from`.
pub(crate) fn emit_to_others(app: &App, from: &SocketRef, agency: &str, event: &str, payload: &Value) {
    let others = sockets(app, agency).into_iter().filter(|socket| socket.id != from.id);
    emit_to(app, others.collect(), event, payload);
}

pub(crate) fn emit_to_socket(app: &App, socket: &SocketRef, event: &str, payload: &Value) {
    emit_to(app, vec![socket.clone()], event, payload);
}

fn emit_to(app: &App, sockets: Vec<SocketRef>, event: &str, payload: &impl Serialize) {
    if app.wire().is_on() && !sockets.is_empty() {
        let identities = sockets.iter().filter_map(|socket| socket.extensions.get::<Identity>());
        let to: Vec<String> = identities.map(|identity| identity.username).collect();
        app.wire().note("out", || json!({ "to": to, "event": event, "payload": json!(payload) }));
    }
    // Serialize the payload once for all sockets.
    let Ok(text) = serde_json::to_string(payload) else { return };
    let bytes = event.len() + text.len();
    let Ok(payload) = RawValue::from_string(text) else { return };
    for socket in sockets {
        let waiting = app.links().queue(socket.id.as_str(), bytes);
        if waiting > app.options().max_waiting
            || (socket.emit(event, &payload).is_err() && socket.connected())
        {
            disconnect::cut_one(app, &socket);
        }
    }
}

/// Answers an event that has an ack.
pub(crate) fn acknowledge(app: &App, socket: &SocketRef, ack: AckSender, answer: &Value) {
    app.wire().note("ack", || {
        let to = socket.extensions.get::<Identity>().map(|identity| identity.username);
        json!({ "to": to.into_iter().collect::<Vec<_>>(), "event": "ack", "payload": answer })
    });
    // Count the bytes without a limit: few acks can wait, because a client waits for its ack.
    let _ = app.links().queue(socket.id.as_str(), answer.to_string().len());
    let _ = ack.send(answer);
}

/// Sends an event to every socket of an account.
pub(crate) fn emit_to_user(app: &App, account: &str, event: &str, payload: &impl Serialize) {
    emit_to_room(app, &own_room(account), event, payload);
}

/// Sends `members-updated`. Its payload is not documented; clients need at least the room.
pub(crate) fn members_changed(app: &App, agency: &str) {
    emit_to_room(app, agency, "members-updated", &json!({ "agencyId": agency }));
}

pub(crate) fn lobby_changed(app: &App) {
    let lobby = app.data().agencies.lobby_id().to_owned();
    members_changed(app, &lobby);
}

/// Sends `member-presence`, whose payload is not documented either.
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

/// The accounts with a connected socket.
pub(crate) fn online(app: &App) -> HashSet<String> {
    let sockets = app.sockets();
    let identities = sockets.iter().filter_map(|socket| socket.extensions.get::<Identity>());
    identities.map(|identity| identity.account).collect()
}

/// Removes the sockets of an account from a room.
pub(crate) fn leave_room(app: &App, account: &str, agency: &str) {
    for socket in sockets(app, &own_room(account)) {
        socket.leave(agency.to_owned());
    }
}

/// Removes all sockets from the room of a deleted agency.
pub(crate) fn close_room(app: &App, agency: &str) {
    for socket in sockets(app, agency) {
        socket.leave(agency.to_owned());
    }
}

/// Disconnects all sockets of an account.
pub(crate) fn disconnect(app: &App, account: &str) {
    for socket in sockets(app, &own_room(account)) {
        let _ = socket.disconnect();
    }
}
