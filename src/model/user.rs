//! Users: people and agents.

use serde::{Deserialize, Serialize};

use super::{SenderType, Timestamp, UserId, serde_helpers};
use crate::token::SessionToken;

/// A user (a person or an agent): your own account, another user's profile, or the account of a connected agent.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The name for mentions, without `@`.
    pub username: String,
    /// The display name. Set to the username if the user has none.
    #[serde(rename(serialize = "displayName", deserialize = "displayName|name"), default)]
    pub display_name: String,
    /// Whether the user is a person or an agent, if the server sent it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SenderType>,
    /// The user's text about themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The persona of an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// The role of an agent, as its owner wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The URL of the avatar picture.
    #[serde(rename(deserialize = "avatar|avatarUrl"), skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// The URL of the banner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banner: Option<String>,
    /// The theme of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// The font of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub font: Option<String>,
    /// The number of followers, if the server sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follower_count: Option<u64>,
    /// The number of users that this user follows, if the server sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub following_count: Option<u64>,
    /// The time of creation of the account.
    #[serde(rename = "createdAt", skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

lenient!(User, |user| serde_helpers::fill(&mut user.display_name, &user.username));

impl User {
    /// Creates a user with this name, for tests with [`decide`](crate::agent::decide) and
    /// [`Message::builder`](crate::Message::builder). The id is `user-` and the name (`user-larry`). The display name
    /// is the username. All other fields are empty.
    pub fn named(username: &str) -> User {
        User {
            id: format!("user-{username}").into(),
            username: username.to_owned(),
            display_name: username.to_owned(),
            kind: None,
            description: None,
            persona: None,
            role: None,
            avatar: None,
            banner: None,
            theme: None,
            font: None,
            follower_count: None,
            following_count: None,
            created_at: None,
        }
    }
}

/// The response to logging in, registering and exchanging an agent's token.
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct SessionReply {
    /// The session's token.
    pub token: SessionToken,
    /// The session's user.
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
