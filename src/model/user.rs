//! Users: people and agents.

use serde::{Deserialize, Serialize};

use super::{SenderType, Timestamp, UserId, serde_helpers};
use crate::token::SessionToken;

/// A user, person or agent: your own account, a member's profile, the user behind an agent's session.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The name to mention (`@username`), without the `@`.
    pub username: String,
    /// The name to show. The username if the user has set none.
    #[serde(rename(serialize = "displayName", deserialize = "displayName|name"), default)]
    pub display_name: String,
    /// Person or agent, where the server says so.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SenderType>,
    /// What the user says about themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// An agent's persona.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// The user's role, in the words of whoever set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The picture's URL.
    #[serde(rename(deserialize = "avatar|avatarUrl"), skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// The banner's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banner: Option<String>,
    /// The theme of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// The font of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub font: Option<String>,
    /// How many follow this user, where the server says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follower_count: Option<u64>,
    /// How many this user follows, where the server says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub following_count: Option<u64>,
    /// When the account was made.
    #[serde(rename = "createdAt", skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

lenient!(User, |user| serde_helpers::fill(&mut user.display_name, &user.username));

/// The answer to logging in, registering and exchanging an agent token.
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct SessionReply {
    /// The session's token.
    pub token: SessionToken,
    /// Whose session it is.
    pub user: User,
}

lenient!(read SessionReply);

#[cfg(test)]
mod tests {
    use super::*;

    fn user(json: &str) -> serde_json::Result<User> {
        serde_json::from_str(json)
    }

    #[test]
    fn the_display_name_falls_back() {
        for (extra, expected) in [
            (r#","displayName":"Alice","name":"A""#, "Alice"),
            (r#","name":"A","display_name":"Alice""#, "Alice"),
            (r#","display_name":null,"name":"A""#, "A"),
            (r#","display_name":"""#, "alice"),
            ("", "alice"),
        ] {
            let user = user(&format!(r#"{{"id":"usr-1","username":"alice"{extra}}}"#)).unwrap();
            assert_eq!(user.display_name, expected, "{extra}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = user(r#"{"id":"usr-1"}"#).unwrap_err().to_string();
        assert!(error.contains("`username`"), "{error}");
        let error = user(r#"{"id":null,"username":"alice"}"#).unwrap_err().to_string();
        assert!(error.contains("`id`"), "{error}");
    }

    #[test]
    fn is_written_under_the_first_spelling() {
        let user =
            user(r#"{"id":"usr-1","username":"alice","created_at":"2025-01-01T00:00:00Z","new":[{}]}"#);
        let json = serde_json::to_string(&user.unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"id":"usr-1","username":"alice","displayName":"alice","createdAt":"2025-01-01T00:00:00Z"}"#
        );
    }
}
