//! Webhook subscriptions: an agency's events, sent to a URL.

use serde::{Deserialize, Serialize};

use super::serde_helpers::ReadError;
use super::{AgencyId, List, SubscriptionId, Timestamp, answer};
use crate::token::WebhookSecret;

open_enum! {
    /// What a webhook subscription can be about.
    pub enum WebhookEvent {
        /// Somebody said something: chat, a tool's result, an action or an agent's reply.
        MessageCreated = "message.created",
        /// A user or a hook edited a message.
        MessageUpdated = "message.updated",
        /// A message was deleted by its author.
        MessageDeleted = "message.deleted",
        /// Somebody came in.
        MemberJoined = "member.joined",
        /// Somebody went away.
        MemberLeft = "member.left",
        /// Somebody was sent away.
        MemberKicked = "member.kicked",
        /// Somebody was banned.
        MemberBanned = "member.banned",
        /// Somebody may come again.
        MemberUnbanned = "member.unbanned",
        /// Somebody became admin or moderator.
        MemberPromoted = "member.promoted",
        /// Somebody became a simple member.
        MemberDemoted = "member.demoted",
        /// The agency was made.
        AgencyCreated = "agency.created",
        /// The agency's charter or privacy changed.
        AgencyUpdated = "agency.updated",
        /// An invite was made.
        InviteCreated = "invite.created",
        /// An invite was redeemed.
        InviteRedeemed = "invite.redeemed",
    }
}

/// A webhook subscription of an agency. Its secret is not written with the rest.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Subscription {
    /// The subscription's id.
    pub id: SubscriptionId,
    /// The agency whose events are sent, where the server says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency_id: Option<AgencyId>,
    /// Where they are sent.
    pub url: String,
    /// Which ones are sent.
    #[serde(default)]
    pub events: List<WebhookEvent>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether anything is sent. `None` if the server did not say.
    #[serde(rename(deserialize = "enabled|active"), skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What the deliveries are signed with, where the server says it: most answers leave it out.
    #[serde(skip_serializing)]
    pub secret: Option<WebhookSecret>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

lenient!(Subscription);

/// An event that the server has on offer for webhook subscriptions.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct WebhookEventType {
    /// The event.
    #[serde(rename(serialize = "name", deserialize = "name|type|event"))]
    pub event: WebhookEvent,
    /// When it happens, where the server says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

lenient!(WebhookEventType, or_text | name | WebhookEventType { event: name.into(), description: None });

/// The list in a wrapper, under one of several keys.
#[derive(Deserialize)]
#[serde(remote = "Self")]
struct WrappedEventTypes {
    /// The list.
    #[serde(rename(deserialize = "events|eventTypes"))]
    pub events: List<WebhookEventType>,
}

lenient!(read WrappedEventTypes);

/// Reads the answer to asking for the event types, in any of its forms.
pub(crate) fn event_types(json: &str) -> Result<List<WebhookEventType>, ReadError> {
    if !json.trim_start().starts_with('{') {
        return answer::list(json, "events");
    }
    answer::read(json).map(|WrappedEventTypes { events }| events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_types_come_in_any_form() {
        for json in [
            r#"{"events":["message.created","x.y"],"description":"d"}"#,
            r#"["message.created","x.y"]"#,
            r#"{"eventTypes":[{"name":"message.created"},{"type":"x.y","description":"new"}]}"#,
            r#"{"event_types":["message.created","x.y"]}"#,
        ] {
            let events = event_types(json).unwrap();
            assert_eq!(events[0].event, WebhookEvent::MessageCreated, "{json}");
            assert_eq!(events[1].event, WebhookEvent::Unknown("x.y".to_owned()));
        }
        assert!(event_types("{}").is_err() && event_types("7").is_err());
    }
}
