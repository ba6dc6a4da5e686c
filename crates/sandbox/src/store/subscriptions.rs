//! Webhook subscriptions to the events of an agency.

use crate::body::Body;
use crate::webhook;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock;
use crate::error::{ApiError, ApiResult};

pub(crate) const EVENTS: [&str; 14] = [
    "message.created",
    "message.updated",
    "message.deleted",
    "member.joined",
    "member.left",
    "member.kicked",
    "member.banned",
    "member.unbanned",
    "member.promoted",
    "member.demoted",
    "agency.created",
    "agency.updated",
    "invite.created",
    "invite.redeemed",
];

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub(crate) agency: String,
    pub(crate) secret: Option<String>,
    /// The fields that responses show, without the secret.
    pub(crate) fields: Map<String, Value>,
}

impl Subscription {
    pub(crate) fn is(&self, agency: &str, id: &str) -> bool {
        self.agency == agency && self.fields.get("id").and_then(Value::as_str) == Some(id)
    }

    pub(crate) fn id(&self) -> String {
        self.fields.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.fields.get("enabled") == Some(&Value::Bool(true))
    }

    pub(crate) fn wants(&self, agency: &str, event: &str) -> bool {
        let events = self.fields.get("events").and_then(Value::as_array);
        self.agency == agency
            && self.is_enabled()
            && events.is_some_and(|events| events.iter().any(|wanted| wanted == event))
    }

    /// The URL and secret, if this subscription has this id and is enabled.
    pub(crate) fn target(&self, id: &str) -> Option<(String, Option<String>)> {
        if self.fields.get("id").and_then(Value::as_str) != Some(id) || !self.is_enabled() {
            return None;
        }
        Some((self.fields.get("url")?.as_str()?.to_owned(), self.secret.clone()))
    }

    pub(crate) fn set(&mut self, body: &Body) -> ApiResult<()> {
        let web = |url: &Value| url.as_str().is_some_and(webhook::is_url);
        if body.0.get("url").is_some_and(|url| !web(url)) {
            return Err(ApiError::bad_request("url must be an http or https URL"));
        }
        if let Some(events) = body.0.get("events") {
            let known = |event: &Value| event.as_str().is_some_and(|event| EVENTS.contains(&event));
            if !events.as_array().is_some_and(|events| !events.is_empty() && events.iter().all(known)) {
                return Err(ApiError::bad_request("events must be a list of event types"));
            }
        }
        // OpenAPI calls it `active`, the SDK `enabled`.
        if let Some(enabled) = body.flag(&["enabled", "active"]) {
            self.fields.insert("enabled".to_owned(), enabled.into());
        }
        if let Some(secret) = body.0.get("secret") {
            // An empty string or null removes the secret.
            self.secret = secret.as_str().filter(|secret| !secret.is_empty()).map(str::to_owned);
        }
        for key in ["url", "events", "description"] {
            if let Some(value) = body.0.get(key) {
                self.fields.insert(key.to_owned(), value.clone());
            }
        }
        self.fields.insert("updated_at".to_owned(), clock::iso(clock::now_ms()).into());
        Ok(())
    }
}
