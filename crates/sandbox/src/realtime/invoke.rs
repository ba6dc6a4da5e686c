//! Runs a slash command from a message to a room, and shows its result.

use std::convert::Infallible;

use serde_json::{Map, Value, json};
use socketioxide::extract::{AckSender, SocketRef};

use crate::app::App;
use crate::clock;
use crate::realtime::commands::{Outcome, hook, manage, moderation, notes, platform};
use crate::realtime::emit;
use crate::realtime::post::{edited_json, publish, show_edit};
use crate::store::Data;
use crate::store::accounts::Account;
use crate::store::custom_commands::CustomCommand;
use crate::store::identity::Identity;
use crate::store::messages::Message;
use crate::webhook;

pub(crate) fn run(
    app: &App,
    socket: &SocketRef,
    identity: &Identity,
    agency: &str,
    call: (&str, &str),
    silent: bool,
    ack: AckSender,
) {
    let custom = {
        let data = app.data();
        find_custom(&data, agency, call.0).map(|command| {
            let allowed = may_invoke(&data, &command, identity);
            let request = request(&data, &command, identity, call);
            (command, allowed, request)
        })
    };
    match custom {
        None => {
            let members = member_names(&app.data(), agency);
            let outcome = moderation::run(app, agency, &identity.account, call)
                .or_else(|| hook::run(app, agency, &identity.account, call))
                .or_else(|| notes::run(app, agency, call))
                .or_else(|| manage::run(app, agency, &identity.account, call))
                .or_else(|| platform::run(call.0, call.1, &members));
            if let Some(outcome) = outcome {
                deliver(app, socket, agency, outcome, silent, ack);
            }
        }
        Some((command, false, _)) => {
            let content = format!("You may not use /{}", command.name);
            let outcome = Outcome { command: command.name, content, ..Outcome::default() };
            deliver(app, socket, agency, outcome, silent, ack);
        }
        Some((command, true, _)) if command.webhook_url.starts_with("native://") => {
            let content = format!(
                "/{} is a native hook. The sandbox keeps its code and does not run it: deploy it to the platform, or answer \
                 by webhook here",
                command.name
            );
            let outcome = Outcome { command: command.name, content, ..Outcome::default() };
            deliver(app, socket, agency, outcome, silent, ack);
        }
        Some((command, true, request)) => {
            let request = request.to_string();
            let Some(reserved) = app.outbox().reserve(request.len()) else {
                let content = "Too many commands at once".to_owned();
                let outcome = Outcome { command: command.name, content, ..Outcome::default() };
                return deliver(app, socket, agency, outcome, silent, ack);
            };
            let (app, socket, agency) = (app.clone(), socket.clone(), agency.to_owned());
            tokio::spawn(async move {
                let _reserved = reserved;
                let timeout = app.options().webhook_timeout;
                let answer =
                    webhook::post(&app.options().access, &command.webhook_url, &request, None, timeout).await;
                let mut outcome = outcome_of(command.name, answer);
                if let Some(delay) = app.faults().slow_hooks() {
                    outcome.ok = true;
                    outcome.later = Some((delay, outcome.content));
                    outcome.content = "[spinner:Working]".to_owned();
                }
                deliver(&app, &socket, &agency, outcome, silent, ack);
            });
        }
    }
}

fn member_names(data: &Data, agency: &str) -> Vec<String> {
    let members = data.agencies.get(agency).map(|agency| agency.members.iter()).into_iter().flatten();
    let name = |account: &Account| {
        let agent = if account.agent.is_some() { " [agent]" } else { "" };
        format!("{}{agent}", account.username)
    };
    members.filter_map(|member| Some(name(data.accounts.get(&member.account).ok()?))).collect()
}

/// `/name` or, when several hooks have the command, `/name@slug`.
fn find_custom(data: &Data, agency: &str, call: &str) -> Option<CustomCommand> {
    let (name, slug) = call.split_once('@').map_or((call, None), |(name, slug)| (name, Some(slug)));
    let hook_of =
        |command: &CustomCommand| data.hooks.0.iter().find(|hook| hook.webhook_url == command.webhook_url);
    let mine = data.commands.0.iter().filter(|command| command.agency == agency && command.name == name);
    let mut enabled = mine.filter(|command| {
        hook_of(command)
            .is_none_or(|hook| hook.enabled && slug.is_none_or(|slug| hook.slug.as_deref() == Some(slug)))
    });
    enabled.next().cloned()
}

fn may_invoke(data: &Data, command: &CustomCommand, identity: &Identity) -> bool {
    let owner = data.agencies.get(&command.agency).and_then(|agency| agency.owner.as_deref());
    owner == Some(&identity.account)
        || match command.invoke_permission.as_str() {
            "closed" => false,
            "whitelist" => command.invoke_whitelist.contains(&identity.username.to_lowercase()),
            _ => true,
        }
}

/// Splits text into words. Text in quotes is one word, without the quotes, as on the platform (according to a comment
/// in conch).
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in text.chars() {
        match quote {
            Some(end) if letter == end => quote = None,
            None if letter == '"' || letter == '\'' && word.is_none() => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            None if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

fn arguments(text: &str) -> (Vec<String>, Map<String, Value>) {
    let mut positional = Vec::new();
    let mut flags = Map::new();
    let mut words = words(text).into_iter().peekable();
    while let Some(word) = words.next() {
        match word.strip_prefix("--").filter(|key| !key.is_empty()) {
            None => positional.push(word),
            Some(key) => {
                let value = words.next_if(|next| !next.starts_with("--"));
                flags.insert(key.to_owned(), value.map_or(Value::Bool(true), Value::from));
            }
        }
    }
    (positional, flags)
}

/// The request to a command webhook.
fn request(data: &Data, command: &CustomCommand, identity: &Identity, call: (&str, &str)) -> Value {
    let (positional, flags) = arguments(call.1);
    let hook = data.hooks.0.iter().find(|hook| hook.webhook_url == command.webhook_url);
    let creator = hook.and_then(|hook| data.accounts.get(&hook.creator).ok());
    let sender = data.accounts.get(&identity.account).ok();
    json!({
        "agencyId": command.agency,
        "command": command.name,
        "rawArgs": call.1,
        "positional": positional,
        "flags": flags,
        "creator": creator.map(|account| format!("@{}", account.username)),
        "hook_target": call.0.split_once('@').map(|(_, slug)| slug),
        "sender": {
            "userId": identity.account,
            "username": identity.username,
            "displayName": sender.map(|account| account.display_name.as_str()),
            "type": sender.map(|account| account.kind()),
        },
    })
}

/// The result in a webhook's answer.
fn outcome_of(command: String, answer: Result<(u16, Value), String>) -> Outcome {
    let failed = |content: String| Outcome { command: command.clone(), content, ..Outcome::default() };
    let (status, body) = match answer {
        Ok(answer) => answer,
        Err(reason) => return failed(format!("The webhook did not answer: {reason}")),
    };
    let field = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    if status != 200 {
        let said = field("error").or_else(|| field("content"));
        return failed(said.unwrap_or_else(|| format!("The webhook answered {status}")));
    }
    let Some(content) = field("content") else {
        return failed("The webhook's answer has no content".to_owned());
    };
    let mut metadata = body.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    metadata.insert("webhook".to_owned(), true.into());
    let flag = |key: &str| body.get(key).and_then(Value::as_bool);
    let name = field("sender_username");
    Outcome {
        ok: true,
        content,
        kind: Some(
            field("type")
                .filter(|kind| ["system", "tool_result", "chat"].contains(&kind.as_str()))
                .unwrap_or_else(|| "tool_result".to_owned()),
        ),
        metadata: Some(metadata.into()),
        sender: name.map(|name| (name.clone(), field("sender_display_name").unwrap_or(name))),
        // `broadcast: false` and `ephemeral: true` have the same effect: only the caller sees the result.
        ephemeral: flag("ephemeral").unwrap_or(false) || flag("broadcast") == Some(false),
        command,
        later: None,
    }
}

fn deliver(app: &App, socket: &SocketRef, agency: &str, outcome: Outcome, silent: bool, ack: AckSender) {
    let kind = outcome.kind.as_deref().unwrap_or("system");
    let mut message = Message::system(agency, kind, &outcome.content);
    if let Some(metadata) = outcome.metadata {
        message.metadata = metadata;
    }
    if let Some((username, display_name)) = outcome.sender {
        message.sender_username = username;
        message.sender_display_name = display_name;
    }
    let mut answer = Map::new();
    answer.insert("ok".to_owned(), outcome.ok.into());
    answer.insert("command".to_owned(), outcome.command.into());
    answer.insert("content".to_owned(), outcome.content.into());
    answer.insert("type".to_owned(), kind.into());
    // Only the caller sees the help and failed calls.
    let private = outcome.ephemeral || !outcome.ok;
    let posted = !private && !silent;
    if private {
        answer.insert("ephemeral".to_owned(), true.into());
        if !silent {
            emit::emit_to_socket(app, socket, "message", &message.json(app.metadata_as_string()));
        }
    }
    if posted || outcome.later.is_some() {
        answer.insert("messageId".to_owned(), message.id.clone().into());
    }
    if posted {
        // This cannot fail, because the message exists.
        let _ = publish(app, |_| Ok::<_, Infallible>(message.clone()));
    }
    emit::acknowledge(app, socket, ack, &Value::Object(answer));
    if let Some((delay, text)) = outcome.later {
        let (app, socket) = (app.clone(), socket.clone());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            finish(&app, &socket, message, text, posted);
        });
    }
}

/// Sends the late answer of a slow command, as an edit of its placeholder.
fn finish(app: &App, socket: &SocketRef, mut message: Message, text: String, posted: bool) {
    message.content = text;
    message.edited_at = Some(clock::now_ms());
    if !posted {
        emit::emit_to_socket(app, socket, "message-edited", &edited_json(app, &message));
        return;
    }
    if let Some(room) = app.data().agencies.get_mut(&message.agency_id) {
        room.messages.edit(&message.id, |kept| *kept = message.clone());
    }
    show_edit(app, &message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together_and_are_gone() {
        assert_eq!(words(r#"a "b c" 'd e' it's "" x"y z""#), ["a", "b c", "d e", "it's", "", "xy z"]);
        let (positional, flags) = arguments(r#"ETH --in "US dollars" --quiet --n 3"#);
        assert_eq!(positional, ["ETH"]);
        assert_eq!(Value::from(flags), json!({ "in": "US dollars", "quiet": true, "n": "3" }));
    }
}
