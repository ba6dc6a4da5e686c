//! Calls webhooks: events go to subscriptions, messages go to agents that answer by webhook. The calls start after the
//! request that caused them.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::app::App;
use crate::app::outbox::{Call, Job, Reserved};
use crate::realtime::post::publish_as;
use crate::realtime::response_webhook;
use crate::webhook;

/// How often the sandbox retries a failed delivery.
const RETRIES: u32 = 3;

/// Processes the outbox. Each subscription has a task of its own, which keeps its events in order even if its receiver is slow.
pub(crate) async fn run(app: App, mut jobs: UnboundedReceiver<(Job, Reserved)>) {
    let mut queues: HashMap<String, UnboundedSender<(String, Reserved)>> = HashMap::new();
    while let Some((job, reserved)) = jobs.recv().await {
        match job {
            Job::Respond(call) => drop(tokio::spawn(respond(app.clone(), call, reserved))),
            Job::Event { subscription, envelope } => {
                let queue = queues.entry(subscription.clone()).or_insert_with(|| {
                    let (sender, receiver) = unbounded_channel();
                    tokio::spawn(deliver_all(app.clone(), subscription, receiver));
                    sender
                });
                let _ = queue.send((envelope, reserved));
            }
        }
    }
}

async fn deliver_all(app: App, subscription: String, mut queue: UnboundedReceiver<(String, Reserved)>) {
    while let Some((envelope, _reserved)) = queue.recv().await {
        deliver(&app, &subscription, &envelope).await;
    }
}

async fn deliver(app: &App, subscription: &str, envelope: &str) {
    for attempt in 0..=RETRIES {
        if let Some(doublings) = attempt.checked_sub(1) {
            tokio::time::sleep(app.options().retry_delay * 2u32.pow(doublings)).await;
        }
        // Look the subscription up for each attempt, because it may have changed meanwhile.
        let target = app.data().subscriptions.iter().find_map(|known| known.target(subscription));
        let Some((url, secret)) = target else { return };
        let answer = webhook::post(
            &app.options().access,
            &url,
            envelope,
            secret.as_deref(),
            app.options().webhook_timeout,
        )
        .await;
        let answer = answer.map(|(status, _)| status);
        app.log(|| format!("DELIVERY for {subscription} -> {answer:?}"));
        if answer.is_ok_and(|status| (200..300).contains(&status)) {
            return;
        }
    }
}

async fn respond(app: App, call: Call, _reserved: Reserved) {
    let start = Instant::now();
    let timeout = app.options().webhook_timeout;
    let answer =
        webhook::post(&app.options().access, &call.url, &call.body, call.secret.as_deref(), timeout).await;
    app.metrics().took("agent_response_duration_seconds", "provider=\"webhook\"", start.elapsed());
    let (status, body) = match answer {
        Ok((200, body)) => ("ok", body),
        _ => ("error", Value::Null),
    };
    app.metrics().count("agent_responses_total", &format!("provider=\"webhook\",status=\"{status}\""));
    // The reply should have a signature by the agent token. The header's name is not documented, so the sandbox does
    // not check it.
    let text =
        |key: &str| body.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let Some(content) = text("error").or_else(|| text("content")) else { return };
    let metadata = body.get("metadata").filter(|metadata| metadata.is_object());
    let metadata = metadata.cloned().unwrap_or_else(|| json!({}));
    if let Ok(message) = publish_as(&app, &call.agency, &call.agent, "chat", content, metadata) {
        response_webhook::queue(&app, &message, call.hops + 1);
    }
}
