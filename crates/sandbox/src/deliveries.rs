//! What the server sends to others: events to webhook subscriptions, and messages to agents that answer by webhook.
//! Both go out behind the requests that caused them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::clock;
use crate::messages::Message;
use crate::respond::{self, Call};
use crate::state::App;
use crate::webhook;

/// How often a delivery that failed is tried again.
const RETRIES: u32 = 3;

#[derive(Debug)]
pub(crate) enum Job {
    /// An envelope for a subscription.
    Event {
        subscription: String,
        envelope: String,
    },
    Respond(Call),
}

/// Where work for later goes; handlers and tests' threads alike put it there.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Mutex<Option<UnboundedSender<Job>>>);

impl Outbox {
    pub(crate) fn open(&self) -> UnboundedReceiver<Job> {
        let (sender, receiver) = unbounded_channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(crate) fn put(&self, job: Job) {
        if let Some(sender) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // Nobody is there to take it only when the server ends.
            let _ = sender.send(job);
        }
    }
}

/// Works off the outbox. One task for each subscription keeps its events in order, however slow its receiver is.
pub(crate) async fn run(app: App, mut jobs: UnboundedReceiver<Job>) {
    let mut queues: HashMap<String, UnboundedSender<String>> = HashMap::new();
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Respond(call) => drop(tokio::spawn(respond::run(app.clone(), call))),
            Job::Event { subscription, envelope } => {
                let queue = queues.entry(subscription.clone()).or_insert_with(|| {
                    let (sender, receiver) = unbounded_channel();
                    tokio::spawn(deliver_all(app.clone(), subscription, receiver));
                    sender
                });
                let _ = queue.send(envelope);
            }
        }
    }
}

async fn deliver_all(app: App, subscription: String, mut queue: UnboundedReceiver<String>) {
    while let Some(envelope) = queue.recv().await {
        deliver(&app, &subscription, &envelope).await;
    }
}

async fn deliver(app: &App, subscription: &str, envelope: &str) {
    for attempt in 0..=RETRIES {
        if let Some(doublings) = attempt.checked_sub(1) {
            tokio::time::sleep(app.options().retry_delay * 2u32.pow(doublings)).await;
        }
        // Looked up each time: it may have been switched off or pointed elsewhere in the meantime.
        let target = app.data().subscriptions.iter().find_map(|known| known.target(subscription));
        let Some((url, secret)) = target else { return };
        let answer = webhook::post(&url, envelope, secret.as_deref(), app.options().webhook_timeout).await;
        let answer = answer.map(|(status, _)| status);
        app.log(|| format!("DELIVERY for {subscription} -> {answer:?}"));
        if answer.is_ok_and(|status| (200..300).contains(&status)) {
            return;
        }
    }
}

/// Tells the subscribers of an agency about an event. `details` is an object with what comes on top of the envelope.
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
        app.outbox().put(Job::Event { subscription: subscription.id(), envelope: envelope.clone() });
    }
}

/// `message.created`, `message.updated` or `message.deleted`. What the server itself says is no event.
pub(crate) fn notify_message(app: &App, message: &Message, event: &str) {
    if message.kind != "system" {
        notify(app, &message.agency_id, event, json!({ "message": message.json(true) }));
    }
}

/// A `member.*` event; `by` is who did it, if that is somebody else.
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
