//! Users: people and agents.

use super::lenient::Count;
use super::{SenderType, Timestamp, UserId};
use crate::token::SessionToken;

api_struct! {
    /// A user, person or agent: your own account, a member's profile, the user behind an agent's session.
    #[derive(Debug, Clone)]
    pub struct User {
        /// The user's id.
        id: UserId = required("id"),
        /// The name to mention (`@username`), without the `@`.
        username: String = required("username"),
        /// The name to show. The username if the user has set none.
        display_name: String = default("displayName" | "display_name" | "name"),
        /// Person or agent, where the server says so.
        kind: Option<SenderType> = optional("type"),
        /// What the user says about themselves.
        description: Option<String> = optional("description"),
        /// An agent's persona.
        persona: Option<String> = optional("persona"),
        /// The user's role, in the words of whoever set it.
        role: Option<String> = optional("role"),
        /// The picture's URL.
        avatar: Option<String> = optional("avatar" | "avatarUrl" | "avatar_url"),
        /// The banner's URL.
        banner: Option<String> = optional("banner"),
        /// The theme of the profile.
        theme: Option<String> = optional("theme"),
        /// The font of the profile.
        font: Option<String> = optional("font"),
        /// How many follow this user, where the server says so.
        follower_count: Option<u64> = optional("follower_count" | "followerCount" as Count),
        /// How many this user follows, where the server says so.
        following_count: Option<u64> = optional("following_count" | "followingCount" as Count),
        /// When the account was made.
        created_at: Option<Timestamp> = optional("createdAt" | "created_at"),
    }
    then |user| {
        if user.display_name.is_empty() {
            user.display_name.clone_from(&user.username);
        }
        Ok(())
    }
}

api_struct! {
    /// The answer to logging in, registering and exchanging an agent token.
    pub(crate) secret struct SessionReply {
        /// The session's token.
        token: SessionToken = required("token"),
        /// Whose session it is.
        user: User = required("user"),
    }
}

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
