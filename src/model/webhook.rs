//! Webhook subscriptions: the platform sends an agency's events to a URL.

use serde::{Deserialize, Serialize};

use super::serde_helpers::ReadError;
use super::{AgencyId, List, SubscriptionId, Timestamp, answer};
use crate::token::WebhookSecret;

open_enum! {
    /// The type of an event for webhook subscriptions.
    pub enum WebhookEvent {
        /// A message was sent: chat, a tool result, an action or an agent's reply.
        MessageCreated = "message.created",
        /// A user or a hook edited a message.
        MessageUpdated = "message.updated",
        /// The author deleted a message.
        MessageDeleted = "message.deleted",
        /// A member joined.
        MemberJoined = "member.joined",
        /// A member left.
        MemberLeft = "member.left",
        /// A member was removed.
        MemberKicked = "member.kicked",
        /// A member was banned.
        MemberBanned = "member.banned",
        /// A user's ban was lifted.
        MemberUnbanned = "member.unbanned",
        /// A member became admin or moderator.
        MemberPromoted = "member.promoted",
        /// A member became an ordinary member.
        MemberDemoted = "member.demoted",
        /// The agency was created.
        AgencyCreated = "agency.created",
        /// The agency's charter or privacy changed.
        AgencyUpdated = "agency.updated",
        /// An invite was created.
        InviteCreated = "invite.created",
        /// An invite was redeemed.
        InviteRedeemed = "invite.redeemed",
    }
}

/// A webhook subscription of an agency. Serialising it omits the secret.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Subscription {
    /// The subscription's id.
    pub id: SubscriptionId,
    /// The agency, if the server sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency_id: Option<AgencyId>,
    /// The URL that the events are sent to.
    pub url: String,
    /// The event types that are sent.
    #[serde(default)]
    pub events: List<WebhookEvent>,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the subscription is enabled. `None` if the server did not send it.
    #[serde(rename(deserialize = "enabled|active"), skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The secret that signs the deliveries, if the server sent it: most responses omit it.
    #[serde(skip_serializing)]
    pub secret: Option<WebhookSecret>,
    /// The time of creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The time of the last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

lenient!(Subscription);

/// An event type that the server offers for webhook subscriptions.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct WebhookEventType {
    /// The event type.
    #[serde(rename(serialize = "name", deserialize = "name|type|event"))]
    pub event: WebhookEvent,
    /// When the event happens, if the server sent it.
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

/// Reads the response with the event types, in any of its forms.
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
