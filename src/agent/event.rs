//! Events of the rooms and of the connection.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::agent::event_log;
use crate::agent::presence::Presence;
use crate::error::Error;
use crate::error_text;
use crate::model::serde_helpers::ReadError;
use crate::model::{AgencyId, AgencyJoined, Invitation, Message, MessageEdited, answer};
use crate::socket::{Item, RawEvent};

open_enum! {
    /// Why a connection was lost, in the terms of the official Socket.IO client.
    pub enum DisconnectReason {
        /// The connection was closed or reset.
        TransportClose = "transport close",
        /// The connection failed in another way.
        TransportError = "transport error",
        /// The server was silent for too long.
        PingTimeout = "ping timeout",
        /// The server sent data that breaks the protocol.
        ParseError = "parse error",
        /// The server ended the connection. A kick, a ban and a deploy all look like this.
        ServerDisconnect = "io server disconnect",
        /// The agent ended the connection.
        ClientDisconnect = "io client disconnect",
    }
}

impl PartialEq<&str> for DisconnectReason {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// An event of an agent. Yielded by [`Agent::events`](crate::Agent::events).
///
/// The names of the server's events are from docs.crustocean.chat, page "SDK events". A failure that the crate
/// recovers from is an event, never an error.
///
/// Events can be serialised for a log: `{"type": "message", "data": {…}}`.
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
    /// `message`: a new message, in a room or a direct message ([`Message::dm`]). The agent's own messages arrive,
    /// too.
    Message(Message),
    /// `message-edited`: the text of a message changed.
    MessageEdited(MessageEdited),
    /// `agency-joined`: the agent joined a room, for the first time or again after a reconnect.
    AgencyJoined(AgencyJoined),
    /// `agency-invited`: the agent was added to an agency. Join it with
    /// [`Agent::join`](crate::Agent::join)`(&invitation.agency_id)`. An agent that
    /// [follows](crate::Agent::follow_invites) its invitations has already tried to join.
    AgencyInvited(Invitation),
    /// `error`: the server reports an error about an earlier request of the agent. The server does not say which
    /// request. The cause of a failed [`join`](crate::Agent::join) arrives here, too.
    #[non_exhaustive]
    ServerError {
        /// The server's message.
        message: String,
    },
    /// `members-updated`: a member joined, left, or got another role.
    MembersUpdated(Presence),
    /// `member-presence`: a member is online, offline or typing.
    MemberPresence(Presence),
    /// `agent-status`: an agent's status changed.
    AgentStatus(Presence),
    /// Any other event, as the server sent it.
    Other(RawEvent),
    /// The agent is connected: for the first time, or again after [`Disconnected`](Event::Disconnected). The agent is
    /// joining its rooms again; sends wait until it has done so. Missed messages follow before newer ones, marked
    /// [`replayed`](Message::replayed).
    #[non_exhaustive]
    Connected {
        /// The number of attempts since the connection was lost; 0 for the first connection.
        attempt: u32,
        /// Whether the server itself has replayed the missed events.
        recovered: bool,
    },
    /// The connection was lost. The crate reconnects automatically.
    #[non_exhaustive]
    Disconnected {
        /// The reason.
        reason: DisconnectReason,
        /// Details for a log.
        detail: String,
        /// The time until the next attempt.
        #[serde(serialize_with = "event_log::seconds")]
        retry_in: Duration,
    },
    /// An attempt to reconnect failed. The crate tries again.
    #[non_exhaustive]
    ConnectFailed {
        /// The cause.
        #[serde(serialize_with = "event_log::text")]
        error: Arc<Error>,
        /// The number of attempts since the connection was lost.
        attempt: u32,
        /// The time until the next attempt.
        #[serde(serialize_with = "event_log::seconds")]
        retry_in: Duration,
    },
    /// The agent could not join a room for [`join_all`](crate::Agent::join_all),
    /// [`join_dms`](crate::Agent::join_dms), [`follow_invites`](crate::Agent::follow_invites) or
    /// [`follow_dms`](crate::Agent::follow_dms).
    #[non_exhaustive]
    JoinFailed {
        /// The room.
        agency_id: AgencyId,
        /// The agency's slug, if it is known.
        slug: Option<String>,
        /// The agency's name or the name of the other user, if it is known.
        name: Option<String>,
        /// The cause.
        #[serde(serialize_with = "event_log::text")]
        error: Arc<Error>,
    },
    /// After a reconnect the server did not let the agent into a room again. The agent is no longer in the room.
    #[non_exhaustive]
    RoomLost {
        /// The room.
        agency_id: AgencyId,
        /// The cause.
        #[serde(serialize_with = "event_log::text")]
        error: Arc<Error>,
    },
    /// Messages may be missing in a room, because its history could not be read. Events of the room continue. Missing
    /// messages that a later read of the history finds arrive late, marked [`replayed`](Message::replayed).
    #[non_exhaustive]
    GapNotFilled {
        /// The room.
        agency_id: AgencyId,
        /// The cause.
        #[serde(serialize_with = "event_log::text")]
        error: Arc<Error>,
    },
    /// The agent's [memory](crate::agent::AgentBuilder::remember) cannot be saved; for example, the disk is full. The
    /// agent continues and tries again every second. The event comes once per series of failures. If the process ends
    /// before saving works again, questions that were done meanwhile come again after the next start.
    #[non_exhaustive]
    StateNotSaved {
        /// The cause.
        #[serde(serialize_with = "event_log::text")]
        error: Arc<Error>,
    },
    /// The crate has dropped events because the loop was too slow. The crate reads the dropped messages from the rooms'
    /// histories and yields them next ([`Message::replayed`]). If a history cannot be read, [`Event::GapNotFilled`]
    /// follows. A [subscription](crate::Agent::subscribe) does not get the dropped messages: read
    /// [`Room::history`](crate::Room::history) instead.
    #[non_exhaustive]
    Lagged {
        /// The number of dropped events.
        missed: u64,
    },
    /// An event is valid JSON but cannot be decoded; for example, the JSON is nested hundreds of levels deep. Any user
    /// in the room can send such an event; only this event is lost.
    #[non_exhaustive]
    Undecodable {
        /// The event's name.
        name: String,
        /// The decoder's error message.
        reason: String,
    },
}

/// The text of an `error` event.
pub(crate) fn error_event_text(event: &RawEvent) -> String {
    let text = event.first().ok().and_then(|value| error_text::in_value(&value));
    text.or_else(|| error_text::in_arguments(event.args()))
        .unwrap_or_else(|| "the server gave no reason".to_owned())
}

/// Decodes the event's first argument.
fn read<T: DeserializeOwned>(event: &RawEvent) -> Result<T, ReadError> {
    // Usually the event has only one argument. Finding the end of the argument would take as long as decoding the
    // argument.
    answer::read(event.args()).or_else(|_| answer::read(event.first::<&RawValue>()?.get()))
}

impl Event {
    /// The room that the event is about, if the event names a room.
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

    /// Returns `None` for `Restored`, and for an event that is not JSON at all. Such an event means that the server is
    /// broken.
    pub(crate) fn decode(item: Item) -> Option<Event> {
        Some(match item {
            Item::Event(raw) => return Event::from_raw(raw),
            Item::Connected { attempt, recovered, .. } => Event::Connected { attempt, recovered },
            // Only the delivery uses this item.
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

    /// Returns `None` if the event is not JSON at all. Such an event means that the server is broken.
    pub(crate) fn from_raw(raw: RawEvent) -> Option<Event> {
        let decoded = match raw.name() {
            "message" => read(&raw).map(Event::Message),
            "message-edited" => read(&raw).map(Event::MessageEdited),
            "agency-joined" => read(&raw).map(Event::AgencyJoined),
            "agency-invited" => read(&raw).map(Event::AgencyInvited),
            "error" => Ok(Event::ServerError { message: error_event_text(&raw) }),
            "members-updated" => return raw.is_json().then(|| Event::MembersUpdated(Presence::of(raw))),
            "member-presence" => return raw.is_json().then(|| Event::MemberPresence(Presence::of(raw))),
            "agent-status" => return raw.is_json().then(|| Event::AgentStatus(Presence::of(raw))),
            // The JSON of these events has not been checked yet.
            _ => return raw.is_json().then(|| Event::Other(raw.on_its_own())),
        };
        match decoded {
            Ok(event) => Some(event),
            Err(error) => raw.is_json().then(|| Event::Undecodable {
                name: raw.name().to_owned(),
                // The error message contains no value from the event.
                reason: error.to_string(),
            }),
        }
    }
}
