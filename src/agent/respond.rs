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
    /// It would be for this agent, but the platform or a hook said it, which cannot be answered: the result of a
    /// command, say. A heartbeat, which is meant to prompt the agent, is [`Respond`](Decision::Respond).
    FromSystem,
}

/// Whether nobody is there to hear an answer. Scheduled prompts are the exception that the platform documents (page
/// "Autonomous workflows").
fn is_of_the_platform(message: &Message) -> bool {
    (message.is_system() || message.metadata.is_from_hook()) && !message.metadata.is_heartbeat()
}

impl Agent {
    /// Whether a message is for this agent to answer: it mentions the agent's exact handle (`@larry` is not
    /// `@larry_lobster`) or is a direct message, is neither the agent's own nor the platform's or a hook's, and its loop
    /// guard allows one more hop.
    pub fn should_respond(&self, message: &Message) -> bool {
        self.decide(message) == Decision::Respond
    }

    /// As [`should_respond`](Agent::should_respond), with the reason.
    pub fn decide(&self, message: &Message) -> Decision {
        decide(message, &self.inner.me)
    }
}

/// The rules of the JavaScript SDK's `shouldRespondWithGuard`, and three more: never one's own message, none of the
/// platform's, and always a direct one, which needs no mention (docs.crustocean.chat, page "Direct messages").
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
        _ if is_of_the_platform(message) => Decision::FromSystem,
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
            ("@larry", r#","sender_id":"system""#, Decision::FromSystem),
            ("@larry", r#","type":"system""#, Decision::FromSystem),
            ("hello", r#","type":"system""#, Decision::NotMentioned),
            ("@larry", r#","metadata":{"webhook":{"id":1}}"#, Decision::FromSystem),
            ("@larry", r#","metadata":"{\"webhook\":true}""#, Decision::FromSystem),
            ("@larry", r#","metadata":{"webhook":false}"#, Decision::Respond),
            ("@larry", r#","metadata":{"webhook":null}"#, Decision::Respond),
            (
                "@larry",
                r#","sender_id":"system","metadata":{"heartbeat":true,"webhook":true}"#,
                Decision::Respond,
            ),
            ("hello", r#","sender_id":"system","metadata":{"heartbeat":true}"#, Decision::NotMentioned),
        ] {
            assert_eq!(decide(&message(content, extra), &me()), decision, "{content} {extra}");
        }
    }
}
