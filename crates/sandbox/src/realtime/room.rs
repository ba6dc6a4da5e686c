//! The events of a socket in a room: join, send, edit, and agent runs.

use serde_json::{Value, json};
use socketioxide::extract::{AckSender, SocketRef};

use crate::app::App;
use crate::clock;
use crate::realtime::commands;
use crate::realtime::emit;
use crate::realtime::invoke;
use crate::realtime::post::{self, publish, show_edit};
use crate::realtime::response_webhook;
use crate::store::identity::Identity;
use crate::store::members::members_json;
use crate::store::messages::Message;

/// The result of an event. The client gets an error as the event `error` with this text.
type Answer = Result<(), String>;

fn text<'p>(payload: &'p Value, key: &str) -> Option<&'p str> {
    payload.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// The agency of an event, if the socket has joined it. A membership alone is not enough.
fn joined<'p>(socket: &SocketRef, payload: &'p Value) -> Result<&'p str, String> {
    let agency = text(payload, "agencyId").ok_or("agencyId is required")?;
    if emit::in_room(socket, agency) { Ok(agency) } else { Err("Join the agency first".to_owned()) }
}

pub(crate) fn join(app: &App, socket: &SocketRef, identity: &Identity, payload: &Value) -> Answer {
    let id = text(payload, "agencyId").ok_or("agencyId is required")?;
    let (answer, already) = {
        let data = app.data();
        let agency = data.agencies.get(id).ok_or("Agency not found")?;
        agency.require_reader(&identity.account).map_err(|refusal| refusal.message)?;
        let members = members_json(&data, agency);
        (json!({ "agencyId": id, "members": members }), emit::in_room(socket, id))
    };
    socket.join(id.to_owned());
    emit::emit_to_socket(app, socket, "agency-joined", &answer);
    if !already {
        emit::presence(app, socket, id, "online");
    }
    Ok(())
}

pub(crate) fn send(
    app: &App,
    socket: &SocketRef,
    identity: &Identity,
    payload: &Value,
    ack: AckSender,
) -> Answer {
    let id = joined(socket, payload)?;
    let content = text(payload, "content").ok_or("Message content is required")?;
    let dm = app.data().agencies.get(id).ok_or("Agency not found")?.dm;
    // Direct conversations have no commands.
    if let Some((name, args)) = commands::parse(content).filter(|_| !dm) {
        let silent = payload.get("silent").and_then(Value::as_bool).unwrap_or(false);
        invoke::run(app, socket, identity, id, (&name, args), silent, ack);
        return Ok(());
    }
    // Clients may not send other types. The platform's behaviour for them is not documented.
    let kind = text(payload, "type").filter(|kind| ["chat", "tool_result", "action"].contains(kind));
    let metadata = payload.get("metadata").filter(|metadata| !metadata.is_null());
    let metadata = metadata.cloned().unwrap_or_else(|| json!({}));
    // No ack, even if the client requests one: the platform acknowledges only commands.
    post::post(app, id, &identity.account, kind.unwrap_or("chat"), shortened(app, content), metadata)
        .map(drop)
}

/// Cuts a text to the configured length.
fn shortened<'t>(app: &App, content: &'t str) -> &'t str {
    let end = app.options().truncate_content.and_then(|most| content.char_indices().nth(most));
    end.and_then(|(end, _)| content.get(..end)).unwrap_or(content)
}

pub(crate) fn edit(app: &App, socket: &SocketRef, identity: &Identity, payload: &Value) -> Answer {
    let id = joined(socket, payload)?;
    let message = text(payload, "messageId").ok_or("messageId is required")?;
    let content = text(payload, "content").ok_or("Message content is required")?;
    let edited = {
        let mut data = app.data();
        let room = data.agencies.get_mut(id).ok_or("Agency not found")?;
        let kept = room.messages.get(message).ok_or("Message not found")?;
        if kept.sender_id != identity.account {
            return Err("You can only edit your own messages".to_owned());
        }
        let edited = room.messages.edit(message, |message| {
            message.content = shortened(app, content).to_owned();
            message.edited_at = Some(clock::now_ms());
        });
        edited.ok_or("Message not found")?
    };
    show_edit(app, &edited);
    Ok(())
}

/// Relays `agent-thinking` and `agent-run-*` unchanged to the other sockets, because the web client shows them live.
pub(crate) fn relay(
    app: &App,
    socket: &SocketRef,
    identity: &Identity,
    event: &str,
    payload: &Value,
) -> Answer {
    let id = joined(socket, payload)?;
    {
        let mut data = app.data();
        data.run_rules.check(identity, event, payload);
        if event == "agent-run-permission-response"
            && let [Some(run), Some(permission), Some(decision)] =
                ["runId", "permissionId", "decision"].map(|key| text(payload, key))
        {
            data.runs.decide(run, permission, decision);
        }
        data.runs.note(event, id, &identity.account, &identity.username, payload);
    }
    emit::emit_to_others(app, socket, id, event, payload);
    if event == "agent-run-stream" && payload.get("done") == Some(&Value::Bool(true)) {
        return end_stream(app, identity, id, payload);
    }
    Ok(())
}

/// Makes a finished stream a message of the room. The source for this behaviour are existing bots: they do not send a
/// streamed text again, and find it in the history with `metadata.run_id`.
fn end_stream(app: &App, identity: &Identity, agency: &str, payload: &Value) -> Answer {
    let (Some(run), Some(content)) = (text(payload, "runId"), text(payload, "content")) else {
        return Ok(());
    };
    let mut metadata = payload.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    metadata.insert("run_id".to_owned(), run.into());
    let message = publish(app, |data| {
        let sender = data.accounts.get(&identity.account).map_err(|refusal| refusal.message)?;
        let room = data.agencies.get(agency).ok_or("Agency not found")?;
        let mut message = Message::new((&room.id, room.dm), sender, "chat", content, metadata.into());
        // The client chose this id when the stream began.
        if let Some(id) = text(payload, "messageId").filter(|id| room.messages.get(id).is_none()) {
            message.id = id.to_owned();
        }
        Ok::<_, String>(message)
    })?;
    response_webhook::queue(app, &message, 0);
    Ok(())
}
