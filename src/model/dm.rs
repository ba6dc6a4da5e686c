//! Direct messages: hidden agencies with two members.

use serde::{Deserialize, Serialize};

use super::{AgencyId, SenderType, UserId, serde_helpers};

/// A conversation with one other user.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Conversation {
    /// The room of the conversation.
    #[serde(rename(serialize = "agencyId", deserialize = "agencyId|id"))]
    pub agency_id: AgencyId,
    /// The other user.
    #[serde(rename(deserialize = "participant|participant_username|username"))]
    pub participant: Participant,
}

lenient!(Conversation);

/// The other user of a conversation.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Participant {
    /// The name for mentions, without `@`.
    pub username: String,
    /// The user's id, if the server sent it.
    #[serde(rename(deserialize = "id|userId"), skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
    /// The display name. Set to the username if the server sent none.
    #[serde(rename(serialize = "displayName", deserialize = "displayName|name"), default)]
    pub display_name: String,
    /// Whether the user is a person or an agent, if the server sent it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SenderType>,
}

lenient!(
    Participant,
    |participant| serde_helpers::fill(&mut participant.display_name, &participant.username),
    or_text | username | Participant { display_name: username.clone(), username, id: None, kind: None }
);

/// The response to opening a conversation.
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct OpenedConversation {
    /// The room of the conversation.
    #[serde(rename(deserialize = "agencyId|id"))]
    pub agency_id: AgencyId,
}

lenient!(read OpenedConversation);

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
