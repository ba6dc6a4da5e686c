//! The Socket.IO side: who is connected, and sending to rooms and accounts.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, SocketRef};

use crate::app::App;
use crate::realtime::disconnect;
use crate::store::identity::Identity;

/// The room that all sockets of an account are in; agencies' rooms are called by their ids.
pub(crate) fn own_room(account: &str) -> String {
    format!("account:{account}")
}

pub(crate) fn in_room(socket: &SocketRef, agency: &str) -> bool {
    socket.rooms().iter().any(|room| room.as_ref() == agency)
}

fn sockets(app: &App, room: &str) -> Vec<SocketRef> {
    app.io().map_or_else(Vec::new, |io| io.within(room.to_owned()).sockets())
}

/// To every socket in a room. A socket that cannot take it is on its way out: the others still get theirs.
pub(crate) fn emit_to_room(app: &App, agency: &str, event: &str, payload: &impl Serialize) {
    emit_to(app, sockets(app, agency), event, payload);
}

/// To everybody in a room except the one who caused it.
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
    // Written once for all of them.
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

/// The answer to an event that asked for one.
pub(crate) fn acknowledge(app: &App, socket: &SocketRef, ack: AckSender, answer: &Value) {
    app.wire().note("ack", || {
        let to = socket.extensions.get::<Identity>().map(|identity| identity.username);
        json!({ "to": to.into_iter().collect::<Vec<_>>(), "event": "ack", "payload": answer })
    });
    // It cannot be so much that it matters whether this is one too many: the client waits for it.
    let _ = app.links().queue(socket.id.as_str(), answer.to_string().len());
    let _ = ack.send(answer);
}

/// To every socket of an account.
pub(crate) fn emit_to_user(app: &App, account: &str, event: &str, payload: &impl Serialize) {
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
