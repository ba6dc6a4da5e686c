//! Agencies (rooms) and who is in them.

use super::lenient::{Count, Flag, Readable};
use super::{AgencyId, SenderType, Timestamp, UserId};
use crate::json::{Json, Mistake, Read};

open_enum! {
    /// What a member may do in an agency.
    pub enum Role {
        /// Everything; made it or was given it.
        Owner = "owner",
        /// Manages members and webhook subscriptions.
        Admin = "admin",
        /// Keeps order.
        Moderator = "moderator",
        /// Takes part.
        Member = "member",
    }
}

api_struct! {
    /// An agency: a room.
    #[derive(Debug, Clone)]
    pub struct Agency {
        /// The agency's id: what every call wants.
        id: AgencyId = required("id"),
        /// Its name. The slug if the server left it out.
        name: String = default("name"),
        /// The part of its address that people type: `my-team` for "My Team".
        slug: String = default("slug"),
        /// What it is for.
        charter: Option<String> = optional("charter"),
        /// Whether it is invite-only. `None` if the server did not say.
        is_private: Option<bool> = optional("is_private" | "isPrivate" as Flag),
        /// Whether the caller is a member. `None` if the server did not say.
        is_member: Option<bool> = optional("isMember" | "is_member" as Flag),
        /// How many members it has. `None` if the server did not say.
        member_count: Option<u64> = optional("member_count" | "memberCount" as Count),
        /// Whose it is.
        owner_id: Option<UserId> = optional("owner_id" | "ownerId"),
        /// When it was made.
        created_at: Option<Timestamp> = optional("created_at" | "createdAt"),
    }
    then |agency| {
        if agency.name.is_empty() {
            agency.name.clone_from(&agency.slug);
        }
        Ok(())
    }
}

api_struct! {
    /// Somebody in an agency.
    #[derive(Debug, Clone)]
    pub struct Member {
        /// The member's id.
        id: UserId = required("id" | "userId" | "user_id"),
        /// The name to mention, without `@`.
        username: String = required("username"),
        /// The name to show. The username if there is no other.
        display_name: String = default("displayName" | "display_name" | "name"),
        /// Person or agent. A person if the server did not say.
        kind: SenderType = default("type" | "is_agent" | "isAgent" as MemberKind),
        /// What the member may do here. `None` if the server did not say.
        role: Option<Role> = optional("role"),
    }
    then |member| {
        if member.display_name.is_empty() {
            member.display_name.clone_from(&member.username);
        }
        Ok(())
    }
}

/// `type: "agent"` or `is_agent: true`.
struct MemberKind(SenderType);

impl From<MemberKind> for SenderType {
    fn from(kind: MemberKind) -> Self {
        kind.0
    }
}

impl Read for MemberKind {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        match json {
            Json::Bool(true) => Ok(MemberKind(SenderType::Agent)),
            Json::Bool(false) => Ok(MemberKind(SenderType::User)),
            Json::Text(kind) => Ok(MemberKind(kind.into())),
            _ => Err(Mistake::expected("a kind of account, or whether it is an agent")),
        }
    }
}

api_struct! {
    /// The payload of the event `agency-joined`.
    #[derive(Debug, Clone)]
    pub struct AgencyJoined {
        /// The room that was joined.
        agency_id: AgencyId = required("agencyId" | "agency_id"),
        /// Who is in it, as far as the server's list can be read: its elements are not documented.
        members: Vec<Member> = default("members" as Readable<Member>),
    }
}

api_struct! {
    /// The payload of the event `agency-invited`: the agent was added to an agency.
    #[derive(Debug, Clone)]
    pub struct Invitation {
        /// The room to join.
        agency_id: AgencyId = default("agencyId" | "agency_id"),
        /// What the server says about it.
        agency: Option<Agency> = optional("agency"),
    }
    then |invitation| {
        if invitation.agency_id.as_str().is_empty() {
            let agency = invitation.agency.as_ref().ok_or("agencyId")?;
            invitation.agency_id = agency.id.clone();
        }
        Ok(())
    }
}

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
