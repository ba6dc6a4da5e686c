//! Sends events to webhook subscriptions.

use serde_json::{Value, json};

use crate::app::App;
use crate::app::outbox::Job;
use crate::clock;
use crate::realtime::emit;
use crate::store::messages::Message;

/// Sends an event to the subscribers of an agency. `details` is an object with the fields beside those of the envelope.
pub(crate) fn notify(app: &App, agency: &str, event: &str, details: Value) {
    let mut envelope = json!({
        "event": event,
        "timestamp": clock::iso(clock::now_ms()),
        "agencyId": agency,
    });
    if let (Some(envelope), Value::Object(details)) = (envelope.as_object_mut(), details) {
        envelope.extend(details);
    }
    let envelope = envelope.to_string();
    let data = app.data();
    for subscription in data.subscriptions.iter().filter(|known| known.wants(agency, event)) {
        let queued =
            app.outbox().put(Job::Event { subscription: subscription.id(), envelope: envelope.clone() });
        if !queued {
            app.log(|| format!("DELIVERY for {} -> dropped: too much is waiting", subscription.id()));
        }
    }
}

/// Sends `message.created`, `message.updated` or `message.deleted`. Messages of the server itself cause no event.
pub(crate) fn notify_message(app: &App, message: &Message, event: &str) {
    if message.kind != "system" {
        notify(app, &message.agency_id, event, json!({ "message": message.json(true) }));
    }
}

/// Sends a `member.*` event. `by` is the account that caused the event, if it is not the member.
pub(crate) fn notify_member(app: &App, agency: &str, event: &str, account: &str, by: Option<&str>) {
    let details = {
        let data = app.data();
        let short = |id: &str| {
            let account = data.accounts.get(id).ok()?;
            Some(json!({
                "id": account.id,
                "username": account.username,
                "displayName": account.display_name,
                "type": account.kind(),
                "role": data.agencies.get(agency).and_then(|agency| agency.role_of(&account.id)),
            }))
        };
        json!({ "member": short(account), "actor": by.and_then(short) })
    };
    notify(app, agency, event, details);
}

/// Announces a new member to the room and the subscribers.
pub(crate) fn joined(app: &App, agency: &str, account: &str, by: Option<&str>) {
    emit::members_changed(app, agency);
    notify_member(app, agency, "member.joined", account, by);
}
