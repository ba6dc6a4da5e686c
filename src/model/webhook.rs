//! Webhook subscriptions: an agency's events, sent to a URL.

use super::lenient::{Flag, MaybeText};
use super::{AgencyId, SubscriptionId, Timestamp};
use crate::json::{self, Json, Mistake, Read};
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

api_struct! {
    /// A webhook subscription of an agency.
    #[derive(Debug, Clone)]
    pub secret struct Subscription {
        /// The subscription's id.
        id: SubscriptionId = required("id"),
        /// The agency whose events are sent, where the server says it.
        agency_id: Option<AgencyId> = optional("agency_id" | "agencyId"),
        /// Where they are sent.
        url: String = required("url"),
        /// Which ones are sent.
        events: Vec<WebhookEvent> = default("events" as MaybeText<Vec<WebhookEvent>>),
        /// What it is for.
        description: Option<String> = optional("description"),
        /// Whether anything is sent. `None` if the server did not say.
        enabled: Option<bool> = optional("enabled" | "active" as Flag),
        /// What the deliveries are signed with, where the server says it: most answers leave it out.
        secret: Option<WebhookSecret> = optional("secret"),
        /// When it was made.
        created_at: Option<Timestamp> = optional("created_at" | "createdAt"),
        /// When it was last changed.
        updated_at: Option<Timestamp> = optional("updated_at" | "updatedAt"),
    }
}

/// An event that the server has on offer for webhook subscriptions.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WebhookEventType {
    /// The event.
    pub event: WebhookEvent,
    /// When it happens, where the server says it.
    pub description: Option<String>,
}

api_struct! {
    /// An event type that is an object.
    secret struct WholeEventType {
        /// The event.
        event: WebhookEvent = required("name" | "type" | "event"),
        /// When it happens.
        description: Option<String> = optional("description"),
    }
}

/// An object, or the name alone.
impl Read for WebhookEventType {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        if let Json::Text(event) = json {
            return Ok(WebhookEventType { event: event.into(), description: None });
        }
        let WholeEventType { event, description } = WholeEventType::read(json)?;
        Ok(WebhookEventType { event, description })
    }
}

deserialize!(WebhookEventType);

api_struct! {
    /// The list in a wrapper, under one of several keys.
    secret struct WrappedEventTypes {
        /// The list.
        events: Vec<WebhookEventType> = required("events" | "eventTypes" | "event_types"),
    }
}

/// Reads the answer to asking for the event types, in any of its forms.
#[inline]
pub(crate) fn event_types(json: &str) -> serde_json::Result<Vec<WebhookEventType>> {
    if !json.trim_start().starts_with('{') {
        return json::from_str(json);
    }
    json::from_str(json).map(|WrappedEventTypes { events }| events)
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
