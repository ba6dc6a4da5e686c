//! Whether a message is for the agent, and whether it may still answer.

use crate::agent::Agent;
use crate::agent::mention::is_mentioned;
use crate::model::{Message, User};

/// What [`Agent::decide`](crate::Agent::decide) says about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decision {
    /// It is for this agent: answer it.
    Respond,
    /// The agent said it itself.
    Own,
    /// It does not mention the agent and is no direct message.
    NotMentioned,
    /// Somebody has ended the exchange: its loop guard is not `active`.
    Ended,
    /// The agents have answered each other often enough: the loop guard is used up.
    TooManyHops,
}

impl Agent {
    /// Whether a message is for this agent to answer: it mentions the agent's exact handle (`@larry` is not
    /// `@larry_lobster`) or is a direct message, is not the agent's own, and its loop guard allows one more hop.
    pub fn should_respond(&self, message: &Message) -> bool {
        self.decide(message) == Decision::Respond
    }

    /// As [`should_respond`](Agent::should_respond), with the reason.
    pub fn decide(&self, message: &Message) -> Decision {
        decide(message, &self.inner.me)
    }
}

/// The rules of the JavaScript SDK's `shouldRespondWithGuard`, and two more: never one's own message, and always a
/// direct one, which needs no mention (docs.crustocean.chat, page "Direct messages").
pub(crate) fn decide(message: &Message, me: &User) -> Decision {
    // The id is certain; the name also settles it where a history leaves the id out.
    if message.sender_id == me.id
        || (message.sender_id.as_str().is_empty()
            && message.sender_username.eq_ignore_ascii_case(&me.username))
    {
        return Decision::Own;
    }
    if !message.dm && !is_mentioned(&message.content, &me.username) {
        return Decision::NotMentioned;
    }
    match message.loop_guard() {
        Some(guard) if !guard.is_active() => Decision::Ended,
        Some(guard) if guard.is_exhausted() => Decision::TooManyHops,
        _ => Decision::Respond,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content: &str, extra: &str) -> Message {
        let json = format!(
            r#"{{"id":"m","agency_id":"a","created_at":"x","sender_id":"u","sender_username":"alice","content":"{content}"{extra}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn me() -> User {
        serde_json::from_str(r#"{"id":"me","username":"larry"}"#).unwrap()
    }

    #[test]
    fn answers_those_who_ask() {
        for (content, extra, decision) in [
            ("@larry hi", "", Decision::Respond),
            ("@larry_lobster hi", "", Decision::NotMentioned),
            ("hi", r#","dm":true"#, Decision::Respond),
            ("@larry hi", r#","sender_id":"me""#, Decision::Own),
            ("hi", r#","dm":true,"sender_id":"me""#, Decision::Own),
            ("@larry", r#","sender_id":"","sender_username":"Larry""#, Decision::Own),
            ("@larry", r#","metadata":{"loop_guard":{"hop":19}}"#, Decision::Respond),
            ("@larry", r#","metadata":{"loop_guard":{"hop":20}}"#, Decision::TooManyHops),
            ("@larry", r#","metadata":"{\"loop_guard\":{\"hop\":2,\"max_hops\":2}}""#, Decision::TooManyHops),
            ("@larry", r#","metadata":{"loop_guard":{"hop":1,"status":"closed"}}"#, Decision::Ended),
        ] {
            assert_eq!(decide(&message(content, extra), &me()), decision, "{content} {extra}");
        }
    }
}
