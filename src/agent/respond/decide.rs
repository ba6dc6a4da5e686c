//! Decides whether the agent should answer a message.

use crate::agent::respond::handle::{behind_prefix, is_mentioned};
use crate::model::{Message, MessageType, User};

/// The result of [`Agent::decide`](crate::Agent::decide).
///
/// ```no_run
/// use crustocean::agent::Decision;
///
/// # fn demo(agent: &crustocean::Agent, msg: &crustocean::Message) -> crustocean::Result<()> {
/// match agent.decide(msg) {
///     Decision::Respond => agent.reply(msg, "hello")?,
///     Decision::TooManyHops => println!("two agents have talked enough"),
///     _ => {}
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decision {
    /// The agent should answer.
    Respond,
    /// The agent itself sent the message.
    Own,
    /// The message does not mention the agent and is not a direct message.
    NotMentioned,
    /// The exchange has ended: the message's loop guard is not `active`.
    Ended,
    /// The agents have answered each other too often: the loop guard has no hops left.
    TooManyHops,
    /// The platform sent the message, or the message is the result of the agent's own command. A hook's post and a
    /// heartbeat should prompt the agent, so they give [`Respond`](Decision::Respond).
    FromSystem,
    /// The agent answered the message before its last start. Only for an agent that
    /// [remembers](crate::agent::AgentBuilder::remember).
    Answered,
    /// [`Mention::ask`](crate::Mention::ask) has returned the message as an answer.
    Taken,
}

/// Whether the platform itself sent the message. Such a message is most likely the result of a command, and nobody
/// reads an answer to a result.
///
/// Source: the documentation. Hooks post as the user `system` (page "Integrations"), with `metadata.webhook`. An
/// agent that a hook mentions answers (page "Autonomous workflows"). A post is one of the `message.created` events:
/// chat messages, tool results, actions and agent answers, but not messages of the type `system`. So the type
/// `system` means the platform itself. The agent answers scheduled prompts (heartbeats) of any type.
///
/// A hook's answer to a command looks like a post of that hook, unless it has the type `system`.
fn is_of_the_platform(message: &Message) -> bool {
    message.kind == MessageType::System && !message.metadata.is_heartbeat()
}

/// Decides whether the user `me` should answer the message. This is the part of [`Agent::decide`](crate::Agent::decide)
/// that needs no running agent. Use it in tests.
///
/// ```
/// use crustocean::{Message, agent::{Decision, decide}, model::User};
///
/// let larry = User::named("larry");
/// assert_eq!(decide(&larry, &Message::builder("hello @larry").build()), Decision::Respond);
/// assert_eq!(decide(&larry, &Message::builder("hello all").build()), Decision::NotMentioned);
/// assert_eq!(decide(&larry, &Message::builder("I am @larry").said_by("larry").build()), Decision::Own);
/// ```
pub fn decide(me: &User, message: &Message) -> Decision {
    decide_for(message, me, Address::Handle)
}

/// How a message addresses the agent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Address<'a> {
    /// The message mentions the agent's handle, or is a direct message.
    Handle,
    /// The message begins with this command prefix.
    Prefix(&'a str),
}

pub(crate) fn said_by(message: &Message, user: &User) -> bool {
    message.is_by(&user.id, &user.username)
}

/// Applies the rules of the JavaScript SDK's `shouldRespondWithGuard`, and three more: never answer the agent's own
/// messages, never answer the platform's messages, and treat every direct message as addressed to the agent
/// (docs.crustocean.chat, page "Direct messages").
pub(crate) fn decide_for(message: &Message, me: &User, address: Address<'_>) -> Decision {
    if said_by(message, me) {
        return Decision::Own;
    }
    let is_meant = match address {
        Address::Handle => message.dm || is_mentioned(&message.content, &me.username),
        Address::Prefix(prefix) => behind_prefix(&message.content, prefix).is_some(),
    };
    if !is_meant {
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
            // The known forms of a hook's post.
            ("@larry", r#","sender_id":"system""#, Decision::Respond),
            ("@larry", r#","sender_id":"system","type":"tool_result""#, Decision::Respond),
            ("hello", r#","sender_id":"system","type":"chat""#, Decision::NotMentioned),
            ("@larry", r#","type":"system""#, Decision::FromSystem),
            ("hello", r#","type":"system""#, Decision::NotMentioned),
            ("@larry", r#","sender_id":"system","type":"system""#, Decision::FromSystem),
            ("@larry", r#","type":"system","metadata":{"webhook":true}"#, Decision::FromSystem),
            ("@larry", r#","metadata":{"webhook":{"id":1}}"#, Decision::Respond),
            ("@larry", r#","metadata":"{\"webhook\":true}""#, Decision::Respond),
            ("@larry", r#","metadata":{"webhook":false}"#, Decision::Respond),
            ("@larry", r#","metadata":{"webhook":null}"#, Decision::Respond),
            (
                "@larry",
                r#","sender_id":"system","type":"system","metadata":{"heartbeat":true,"webhook":true}"#,
                Decision::Respond,
            ),
            ("hello", r#","sender_id":"system","metadata":{"heartbeat":true}"#, Decision::NotMentioned),
        ] {
            assert_eq!(decide(&me(), &message(content, extra)), decision, "{content} {extra}");
        }
    }
}
