//! Messages made by hand, to test what a bot makes of them.

use super::{AgencyId, Message, MessageId, MessageType, Metadata, SenderType, Timestamp, UserId};

/// Makes a [`Message`] for a test. From [`Message::builder`].
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
    /// A message with this text, said by the user `alice` in a room `room`, for tests that need neither network nor
    /// sandbox. The ids of users are made of their names, as those of [`User::named`](super::User::named) are.
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
    /// Who said it, by username; the id is `user-` and the name. Defaults to `alice`.
    pub fn said_by(mut self, username: &str) -> Self {
        self.0.sender_id = format!("user-{username}").into();
        self.0.sender_username = username.to_owned();
        self.0.sender_display_name = username.to_owned();
        self
    }

    /// An agent said it. Defaults to a person.
    pub fn said_by_agent(self, username: &str) -> Self {
        let mut builder = self.said_by(username);
        builder.0.sender_type = SenderType::Agent;
        builder
    }

    /// The message's id. Defaults to `message`.
    pub fn id(mut self, id: impl Into<MessageId>) -> Self {
        self.0.id = id.into();
        self
    }

    /// The id of the room. Defaults to `room`.
    pub fn room(mut self, room: impl Into<AgencyId>) -> Self {
        self.0.agency_id = room.into();
        self
    }

    /// Whether it is a direct message. Defaults to false.
    pub fn dm(mut self, on: bool) -> Self {
        self.0.dm = on;
        self
    }

    /// What kind of message it is. Defaults to `chat`.
    pub fn kind(mut self, kind: MessageType) -> Self {
        self.0.kind = kind;
        self
    }

    /// What it carries: `Metadata::new(&json!({"heartbeat": true}))?`. Defaults to nothing.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.0.metadata = metadata;
        self
    }

    /// When it was said. Defaults to noon of a day in 2026.
    pub fn created_at(mut self, time: impl Into<Timestamp>) -> Self {
        self.0.created_at = time.into();
        self
    }

    /// Whether it came out of a history after a gap. Defaults to false.
    pub fn replayed(mut self, on: bool) -> Self {
        self.0.replayed = on;
        self
    }

    /// The message.
    pub fn build(self) -> Message {
        self.0
    }
}
