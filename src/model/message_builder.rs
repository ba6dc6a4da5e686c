//! Builds messages for tests of bots.

use super::{AgencyId, Message, MessageId, MessageType, Metadata, SenderType, Timestamp, UserId};

/// Builds a [`Message`] for a test. Returned by [`Message::builder`].
///
/// ```
/// use crustocean::{Message, agent::{Decision, decide}, model::User};
///
/// let larry = User::named("larry");
/// let message = Message::builder("@larry, hello").said_by("alice").build();
/// assert_eq!(decide(&larry, &message), Decision::Respond);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is finished"]
pub struct MessageBuilder(Message);

impl Message {
    /// Returns a builder for a message with this text, from the user `alice` in the room `room`. Use it in tests that
    /// need neither a network nor the sandbox. The id of a user is `user-` and the username, as in
    /// [`User::named`](super::User::named).
    pub fn builder(text: impl Into<String>) -> MessageBuilder {
        MessageBuilder(Message {
            id: "message".into(),
            agency_id: "room".into(),
            content: text.into(),
            kind: MessageType::Chat,
            metadata: Metadata::default(),
            created_at: "2026-01-01T12:00:00.000Z".into(),
            edited_at: None,
            sender_id: UserId::from("user-alice"),
            sender_username: "alice".to_owned(),
            sender_display_name: "alice".to_owned(),
            sender_type: SenderType::User,
            dm: false,
            replayed: false,
        })
    }
}

impl MessageBuilder {
    /// Sets the sender, by username. The sender's id is `user-` and the name. Defaults to `alice`.
    pub fn said_by(mut self, username: &str) -> Self {
        self.0.sender_id = format!("user-{username}").into();
        self.0.sender_username = username.to_owned();
        self.0.sender_display_name = username.to_owned();
        self
    }

    /// Sets the sender, by username, and makes the sender an agent. Defaults to a person.
    pub fn said_by_agent(self, username: &str) -> Self {
        let mut builder = self.said_by(username);
        builder.0.sender_type = SenderType::Agent;
        builder
    }

    /// Sets the message's id. Defaults to `message`.
    pub fn id(mut self, id: impl Into<MessageId>) -> Self {
        self.0.id = id.into();
        self
    }

    /// Sets the id of the room. Defaults to `room`.
    pub fn room(mut self, room: impl Into<AgencyId>) -> Self {
        self.0.agency_id = room.into();
        self
    }

    /// Sets whether the message is a direct message. Defaults to `false`.
    pub fn dm(mut self, on: bool) -> Self {
        self.0.dm = on;
        self
    }

    /// Sets the type of the message. Defaults to `chat`.
    pub fn kind(mut self, kind: MessageType) -> Self {
        self.0.kind = kind;
        self
    }

    /// Sets the metadata: `Metadata::new(&json!({"heartbeat": true}))?`. Defaults to no metadata.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.0.metadata = metadata;
        self
    }

    /// Sets the time of sending. Defaults to 2026-01-01, 12:00 UTC.
    pub fn created_at(mut self, time: impl Into<Timestamp>) -> Self {
        self.0.created_at = time.into();
        self
    }

    /// Sets whether the agent read the message from the history after a gap. Defaults to `false`.
    pub fn replayed(mut self, on: bool) -> Self {
        self.0.replayed = on;
        self
    }

    /// Returns the message.
    pub fn build(self) -> Message {
        self.0
    }
}
