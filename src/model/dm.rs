//! Direct messages: hidden agencies with two members.

use super::{AgencyId, SenderType, UserId};
use crate::json::{Json, Mistake, Read};

api_struct! {
    /// A conversation with one other user.
    #[derive(Debug, Clone)]
    pub struct Conversation {
        /// The room of the conversation.
        agency_id: AgencyId = required("agencyId" | "agency_id" | "id"),
        /// The other side.
        participant: Participant =
            required("participant" | "participant_username" | "participantUsername" | "username" as AnyParticipant),
    }
}

api_struct! {
    /// The other side of a conversation.
    #[derive(Debug, Clone)]
    pub struct Participant {
        /// The name to mention, without `@`.
        username: String = required("username"),
        /// The other side's id, where the server says it.
        id: Option<UserId> = optional("id" | "userId" | "user_id"),
        /// The name to show. The username if there is no other.
        display_name: String = default("displayName" | "display_name" | "name"),
        /// Person or agent, where the server says so.
        kind: Option<SenderType> = optional("type"),
    }
    then |participant| {
        if participant.display_name.is_empty() {
            participant.display_name.clone_from(&participant.username);
        }
        Ok(())
    }
}

/// An object, or the username alone.
struct AnyParticipant(Participant);

impl From<AnyParticipant> for Participant {
    fn from(participant: AnyParticipant) -> Self {
        participant.0
    }
}

impl Read for AnyParticipant {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        if let Json::Text(username) = json {
            let (username, display_name) = (username.to_owned(), username.to_owned());
            return Ok(AnyParticipant(Participant { username, display_name, id: None, kind: None }));
        }
        Participant::read(json).map(AnyParticipant)
    }
}

api_struct! {
    /// The answer to opening a conversation.
    pub(crate) secret struct OpenedConversation {
        /// The room of the conversation.
        agency_id: AgencyId = required("agencyId" | "agency_id" | "id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_side_is_an_object_or_a_name() {
        for json in [
            r#"{"agencyId":"ag-1","participant":{"id":"usr-2","username":"bob"}}"#,
            r#"{"agency_id":"ag-1","participant_username":"bob"}"#,
            r#"{"id":"ag-1","username":"eve","participant":{"username":"bob"}}"#,
        ] {
            let dm: Conversation = serde_json::from_str(json).unwrap();
            assert_eq!((dm.agency_id.as_str(), dm.participant.username.as_str()), ("ag-1", "bob"), "{json}");
            assert_eq!(dm.participant.display_name, "bob");
        }
    }
}
