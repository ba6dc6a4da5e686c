//! What happens in the rooms and to the connection, typed.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::agent::event_log;
use crate::agent::presence::Presence;
use crate::complaint;
use crate::error::Error;
use crate::model::serde_helpers::ReadError;
use crate::model::{AgencyId, AgencyJoined, Invitation, Message, MessageEdited, answer};
use crate::socket::{Item, RawEvent};

open_enum! {
    /// Why a connection was lost, in the words of the official Socket.IO client.
    pub enum DisconnectReason {
        /// The connection was closed or reset.
        TransportClose = "transport close",
        /// The connection failed in another way.
        TransportError = "transport error",
        /// The server was not heard for too long.
        PingTimeout = "ping timeout",
        /// The server sent something that is not of the protocol.
        ParseError = "parse error",
        /// The server ended the connection on purpose: a kick, a ban and a deploy look like this.
        ServerDisconnect = "io server disconnect",
        /// The connection was ended here.
        ClientDisconnect = "io client disconnect",
    }
}

impl PartialEq<&str> for DisconnectReason {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// One thing that happened. From [`Agent::events`](crate::Agent::events).
///
/// Names of the server's events: docs.crustocean.chat, page "SDK events". What the crate recovers from by itself is an
/// event here too, never an error.
///
/// For a log it can be serialised: `{"type": "message", "data": {…}}`.
///
/// ```no_run
/// use crustocean::Event;
///
/// # fn demo(agent: crustocean::Agent) -> crustocean::Result<()> {
/// for event in agent.events() {
///     match event? {
///         Event::Message(message) => println!("{}: {}", message.sender_username, message.content),
///         Event::Disconnected { reason, retry_in, .. } => eprintln!("{reason}, back in {retry_in:?}"),
///         Event::GapNotFilled { agency_id, error, .. } => eprintln!("missed something in {agency_id}: {error}"),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// `message`: somebody said something, in a room or as a direct message ([`Message::dm`]). Own messages come too.
    Message(Message),
    /// `message-edited`: a message has a new text.
    MessageEdited(MessageEdited),
    /// `agency-joined`: this agent is in a room, for the first time or again after a reconnect.
    AgencyJoined(AgencyJoined),
    /// `agency-invited`: this agent was added to an agency. Join it with
    /// [`Agent::join`](crate::Agent::join)`(&invitation.agency_id)`, unless the agent
    /// [follows](crate::Agent::follow_invites) its invitations: then it has been tried already.
    AgencyInvited(Invitation),
    /// `error`: the server complains about something that was sent earlier. It does not say about what; what made a
    /// [`join`](crate::Agent::join) fail comes here too.
    #[non_exhaustive]
    ServerError {
        /// The server's words.
        message: String,
    },
    /// `members-updated`: somebody came or went, or was given another role.
    MembersUpdated(Presence),
    /// `member-presence`: somebody is online, is gone, types.
    MemberPresence(Presence),
    /// `agent-status`: an agent's state is another one.
    AgentStatus(Presence),
    /// Any other event of the server, as it came.
    Other(RawEvent),
    /// The connection is up: the first time, and again after [`Disconnected`](Event::Disconnected). The rooms are
    /// being joined again, and anything sent waits for that. Messages that were missed follow before newer ones, marked
    /// [`replayed`](Message::replayed).
    #[non_exhaustive]
    Connected {
        /// How many tries it took since the connection was lost; 0 the first time.
        attempt: u32,
        /// Whether the server has replayed what was missed.
        recovered: bool,
    },
    /// The connection was lost. The crate reconnects automatically.
    #[non_exhaustive]
    Disconnected {
        /// Why.
        reason: DisconnectReason,
        /// More about it, for a log.
        detail: String,
        /// When the next try is due.
        #[serde(serialize_with = "event_log::seconds")]
        retry_in: Duration,
    },
    /// A try to connect again failed. The next one is due by itself.
    #[non_exhaustive]
    ConnectFailed {
        /// Why.
        #[serde(serialize_with = "event_log::text")]
        error: Arc<Error>,
        /// Counts the tries since the connection was lost.
        attempt: u32,
        /// When the next try is due.
        #[serde(serialize_with = "event_log::seconds")]
        retry_in: Duration,
    },
    /// The agent could not get into a room that [`join_all`](crate::Agent::join_all), [`join_dms`](crate::Agent::join_dms)
    /// or what it [follows](crate::Agent::follow_invites) wanted it to join.
    #[non_exhaustive]
    JoinFailed {
        /// The room.
        agency_id: AgencyId,
        /// The agency's slug, where it is known.
        slug: Option<String>,
        /// The agency's name, or who the conversation is with, where it is known.
        name: Option<String>,
        /// Why.
        #[serde(serialize_with = "event_log::text")]
        error: Arc<Error>,
    },
    /// After a reconnect the server did not let the agent into a room again: it is no longer in it.
    #[non_exhaustive]
    RoomLost {
        /// The room.
        agency_id: AgencyId,
        /// Why.
        #[serde(serialize_with = "event_log::text")]
        error: Arc<Error>,
    },
    /// Messages may have been missed in a room, and its history could not be read to make up for it. The room goes on.
    /// What a later look at the history finds of the gap comes late, marked [`replayed`](Message::replayed).
    #[non_exhaustive]
    GapNotFilled {
        /// The room.
        agency_id: AgencyId,
        /// Why.
        #[serde(serialize_with = "event_log::text")]
        error: Arc<Error>,
    },
    /// Events were dropped here because this loop was too slow for too long. Messages among them follow, fetched from
    /// the rooms' history ([`Message::replayed`]), as far as it can be read.
    #[non_exhaustive]
    Lagged {
        /// How many.
        missed: u64,
    },
    /// An event came that is valid JSON but cannot be decoded: nested hundreds of levels deep, say. Anybody in the
    /// room can send such a thing; it costs nothing but itself.
    #[non_exhaustive]
    Undecodable {
        /// The event's name.
        name: String,
        /// What the decoder said.
        reason: String,
    },
}

/// The text of an `error` event.
pub(crate) fn complaint_of(event: &RawEvent) -> String {
    let said = event.first().ok().and_then(|value| complaint::in_value(&value));
    said.or_else(|| complaint::in_arguments(event.args()))
        .unwrap_or_else(|| "the server gave no reason".to_owned())
}

/// The first argument.
fn read<T: DeserializeOwned>(event: &RawEvent) -> Result<T, ReadError> {
    // The usual case: there is no other. Looking for its end would take as long as reading it.
    answer::read(event.args()).or_else(|_| answer::read(event.first::<&RawValue>()?.get()))
}

impl Event {
    /// The room that it is about, where it says so.
    pub(crate) fn room(&self) -> Option<&AgencyId> {
        match self {
            Event::Message(message) => Some(&message.agency_id),
            Event::MessageEdited(edit) => edit.agency_id.as_ref(),
            Event::MembersUpdated(about) | Event::MemberPresence(about) | Event::AgentStatus(about) => {
                about.agency_id.as_ref()
            }
            _ => None,
        }
    }

    /// `None` when the event is no JSON at all: then the server is broken.
    pub(crate) fn decode(item: Item) -> Option<Event> {
        Some(match item {
            Item::Event(raw) => return Event::from_raw(raw),
            Item::Connected { attempt, recovered, .. } => Event::Connected { attempt, recovered },
            // Only of interest to the delivery.
            Item::Restored => return None,
            Item::Disconnected { reason, detail, retry_in } => {
                Event::Disconnected { reason: reason.into(), detail, retry_in }
            }
            Item::ConnectFailed { error, attempt, retry_in } => {
                Event::ConnectFailed { error: Arc::new(error), attempt, retry_in }
            }
            Item::Lagged { missed } => Event::Lagged { missed },
            Item::NotRestored { what, error } => {
                Event::RoomLost { agency_id: what.into(), error: Arc::new(error) }
            }
        })
    }

    /// `None` when the event is no JSON at all: then the server is broken.
    pub(crate) fn from_raw(raw: RawEvent) -> Option<Event> {
        let decoded = match raw.name() {
            "message" => read(&raw).map(Event::Message),
            "message-edited" => read(&raw).map(Event::MessageEdited),
            "agency-joined" => read(&raw).map(Event::AgencyJoined),
            "agency-invited" => read(&raw).map(Event::AgencyInvited),
            "error" => Ok(Event::ServerError { message: complaint_of(&raw) }),
            "members-updated" => return raw.is_json().then(|| Event::MembersUpdated(Presence::of(raw))),
            "member-presence" => return raw.is_json().then(|| Event::MemberPresence(Presence::of(raw))),
            "agent-status" => return raw.is_json().then(|| Event::AgentStatus(Presence::of(raw))),
            // Nobody has looked at these yet.
            _ => return raw.is_json().then(|| Event::Other(raw.on_its_own())),
        };
        match decoded {
            Ok(event) => Some(event),
            Err(error) => raw.is_json().then(|| Event::Undecodable {
                name: raw.name().to_owned(),
                // It repeats no value.
                reason: error.to_string(),
            }),
        }
    }
}
