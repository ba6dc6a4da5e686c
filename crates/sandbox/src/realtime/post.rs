//! Posts messages to rooms.

use serde_json::{Value, json};

use crate::app::App;
use crate::clock;
use crate::realtime::emit;
use crate::realtime::notify;
use crate::realtime::response_webhook;
use crate::store::Data;
use crate::store::members::room_name;
use crate::store::messages::{Message, metadata_json};

/// Posts a message of an account to a room, sends it to all sockets there, and calls the webhooks of the addressed agents.
/// Returns its id.
pub(crate) fn post(
    app: &App,
    agency: &str,
    account: &str,
    kind: &str,
    content: &str,
    metadata: Value,
) -> Result<String, String> {
    let message = publish_as(app, agency, account, kind, content, metadata)?;
    response_webhook::queue(app, &message, 0);
    Ok(message.id)
}

/// Like [`post`], but calls no webhooks of agents.
pub(crate) fn publish_as(
    app: &App,
    agency: &str,
    account: &str,
    kind: &str,
    content: &str,
    metadata: Value,
) -> Result<Message, String> {
    publish(app, |data| {
        let sender = data.accounts.get(account).map_err(|refusal| refusal.message)?;
        let room = data.agencies.get(agency).ok_or("Agency not found")?;
        Ok(Message::new((&room.id, room.dm), sender, kind, content, metadata))
    })
}

/// Posts a message to its room, sends it to all sockets there, and sends the event to subscribers.
pub(crate) fn publish<E>(app: &App, make: impl FnOnce(&Data) -> Result<Message, E>) -> Result<Message, E> {
    publish_with(app, make, |_| Ok(()))
}

/// Like [`publish`], but first calls `prepare` with the stamped message, before anybody can read the message.
pub(crate) fn publish_with<E>(
    app: &App,
    make: impl FnOnce(&Data) -> Result<Message, E>,
    prepare: impl FnOnce(&Message) -> Result<(), E>,
) -> Result<Message, E> {
    let _in_order = app.posting();
    let message = {
        let mut data = app.data();
        let mut message = make(&data)?;
        let (time, sorted) = app.faults().stamp(message.created_at);
        message.created_at = time;
        prepare(&message)?;
        if let Some(room) = data.agencies.get_mut(&message.agency_id) {
            room.add_message(message.clone(), app.options().max_messages);
            if sorted {
                room.messages.sort();
            }
        }
        message
    };
    app.log(|| {
        format!("MESSAGE in {} @{}: {:?}", message.agency_id, message.sender_username, message.content)
    });
    inform_watchers(app, &message);
    app.wire().note("message", || json!({ "message": message.json(false) }));
    emit::emit_to_room(app, &message.agency_id, "message", &message.json(app.metadata_as_string()));
    app.metrics().count("messages_sent_total", &format!("sender_type=\"{}\"", message.sender_kind()));
    notify::notify_message(app, &message, "message.created");
    Ok(message)
}

/// Informs threads that wait for a message, recordings and the traffic log.
fn inform_watchers(app: &App, message: &Message) {
    app.recordings().note(message, |agency| {
        let data = app.data();
        let room = data.agencies.get(agency)?;
        Some(room_name(&data, room))
    });
    app.message_signal().notify();
}

pub(crate) fn show_edit(app: &App, message: &Message) {
    inform_watchers(app, message);
    app.wire().note("message", || json!({ "message": message.json(false) }));
    emit::emit_to_room(app, &message.agency_id, "message-edited", &edited_json(app, message));
    notify::notify_message(app, message, "message.updated");
}

pub(crate) fn edited_json(app: &App, message: &Message) -> Value {
    json!({
        "messageId": message.id,
        "content": message.content,
        "metadata": metadata_json(&message.metadata, app.metadata_as_string()),
        "edited_at": message.edited_at.map(clock::iso),
    })
}
