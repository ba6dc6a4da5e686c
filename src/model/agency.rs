//! Agencies (rooms) and their members.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::serde_helpers::{Lenient, ReadError};
use super::{AgencyId, List, SenderType, Timestamp, UserId, serde_helpers};

open_enum! {
    /// The role of a member in an agency.
    pub enum Role {
        /// The owner, who may do everything: the creator, or a user who was made owner.
        Owner = "owner",
        /// An admin, who may manage members and webhook subscriptions.
        Admin = "admin",
        /// A moderator, who may moderate the agency.
        Moderator = "moderator",
        /// An ordinary member.
        Member = "member",
    }
}

/// An agency: a room.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Agency {
    /// The agency's id. All calls take it.
    pub id: AgencyId,
    /// The name. Set to the slug if the server sent none.
    #[serde(default)]
    pub name: String,
    /// The part of the agency's address that people type: `my-team` for "My Team".
    #[serde(default)]
    pub slug: String,
    /// The text about the agency's purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charter: Option<String>,
    /// Whether the agency is invite-only. `None` if the server did not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_private: Option<bool>,
    /// Whether the caller is a member. `None` if the server did not send it.
    #[serde(rename = "isMember", skip_serializing_if = "Option::is_none")]
    pub is_member: Option<bool>,
    /// The number of members. `None` if the server did not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_count: Option<u64>,
    /// The owner's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<UserId>,
    /// The time of creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

lenient!(Agency, |agency| serde_helpers::fill(&mut agency.name, &agency.slug));

/// A member of an agency.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Member {
    /// The member's id.
    #[serde(rename(deserialize = "id|userId"))]
    pub id: UserId,
    /// The name for mentions, without `@`.
    pub username: String,
    /// The display name. Set to the username if the server sent none.
    #[serde(rename(serialize = "displayName", deserialize = "displayName|name"), default)]
    pub display_name: String,
    /// Whether the member is a person or an agent. A person if the server did not send it.
    #[serde(
        rename(serialize = "type", deserialize = "type|is_agent"),
        default,
        deserialize_with = "member_kind"
    )]
    pub kind: SenderType,
    /// The member's role. `None` if the server did not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

lenient!(Member, |member| serde_helpers::fill(&mut member.display_name, &member.username));

/// Reads `type: "agent"` or `is_agent: true`.
fn member_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SenderType, D::Error> {
    serde_helpers::text_of(deserializer, |json| match json {
        "true" => Ok(SenderType::Agent),
        "false" => Ok(SenderType::User),
        _ => SenderType::deserialize(Lenient::of(json)),
    })
}

/// The payload of the event `agency-joined`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct AgencyJoined {
    /// The room that was joined.
    #[serde(rename = "agencyId")]
    pub agency_id: AgencyId,
    /// The members. The elements of the server's list are not documented; the list skips an element that it cannot
    /// decode.
    #[serde(default)]
    pub members: List<Member>,
}

lenient!(AgencyJoined);

/// The payload of the event `agency-invited`, which tells the agent that it was added to an agency.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Invitation {
    /// The room to join.
    #[serde(rename = "agencyId", default)]
    pub agency_id: AgencyId,
    /// The agency, if the server sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency: Option<Agency>,
}

lenient!(Invitation, |invitation| {
    if invitation.agency_id.as_str().is_empty() {
        let agency = invitation.agency.as_ref().ok_or_else(|| ReadError::missing_field("agencyId"))?;
        invitation.agency_id = agency.id.clone();
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agency_is_read_in_either_case() {
        for json in [
            r#"{"id":"ag-1","name":"Lobby","slug":"lobby","is_private":false,"isMember":true,"member_count":"12"}"#,
            r#"{"id":"ag-1","name":"Lobby","slug":"lobby","isPrivate":0,"is_member":"true","memberCount":12}"#,
        ] {
            let agency: Agency = serde_json::from_str(json).unwrap();
            assert_eq!(
                (agency.is_private, agency.is_member, agency.member_count),
                (Some(false), Some(true), Some(12))
            );
        }
        let agency: Agency = serde_json::from_str(r#"{"id":"ag-1","slug":"lobby"}"#).unwrap();
        assert_eq!((agency.name.as_str(), agency.is_private, agency.member_count), ("lobby", None, None));
    }

    #[test]
    fn a_member_is_a_person_or_an_agent() {
        for (extra, kind, role) in [
            (r#","type":"agent","role":"owner""#, SenderType::Agent, Some(Role::Owner)),
            (
                r#","is_agent":true,"role":"agent""#,
                SenderType::Agent,
                Some(Role::Unknown("agent".to_owned())),
            ),
            (r#","is_agent":false"#, SenderType::User, None),
            ("", SenderType::User, None),
        ] {
            let member: Member =
                serde_json::from_str(&format!(r#"{{"id":"u","username":"a"{extra}}}"#)).unwrap();
            assert_eq!((member.kind, member.role), (kind, role), "{extra}");
        }
    }

    #[test]
    fn odd_members_do_not_cost_the_join() {
        for (members, count) in [
            (r#"[{"id":"usr-1","username":"alice"},7,{"who":"?"}]"#, 1),
            ("null", 0),
            ("3", 0),
            (r#"{"usr-1":{}}"#, 0),
        ] {
            let joined: AgencyJoined =
                serde_json::from_str(&format!(r#"{{"agencyId":"ag-1","members":{members}}}"#)).unwrap();
            assert_eq!((joined.agency_id.as_str(), joined.members.len()), ("ag-1", count), "{members}");
        }
    }

    #[test]
    fn an_invitation_names_its_room() {
        for json in [
            r#"{"agencyId":"ag-2","agency":{"id":"ag-2","name":"My Team","slug":"my-team"}}"#,
            r#"{"agency":{"id":"ag-2","slug":"my-team"}}"#,
            r#"{"agency_id":"ag-2"}"#,
        ] {
            assert_eq!(serde_json::from_str::<Invitation>(json).unwrap().agency_id, "ag-2", "{json}");
        }
        let error = serde_json::from_str::<Invitation>("{}").unwrap_err().to_string();
        assert!(error.contains("`agencyId`"), "{error}");
    }
}
