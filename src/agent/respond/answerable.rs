//! Whether this agent should answer a message: the rules of [`decide`](crate::agent::respond::decide), and the messages
//! that the agent has handled already.

use crate::agent::inner::AgentInner;
use crate::agent::respond::decide::{self, Address, Decision, decide_for};
use crate::agent::respond::handle::is_mentioned;
use crate::model::{Message, MessageId};

/// Returns the decision for a loop over mentions.
pub(crate) fn decide(agent: &AgentInner, message: &Message) -> Decision {
    unless_handled(agent, message, decide::decide(&agent.me, message))
}

/// Returns the decision for a loop over the commands with this prefix.
pub(crate) fn decide_command(agent: &AgentInner, message: &Message, prefix: &str) -> Decision {
    unless_handled(agent, message, decide_for(message, &agent.me, Address::Prefix(prefix)))
}

/// Whether the message mentions the agent's handle.
pub(crate) fn is_named(agent: &AgentInner, message: &Message) -> bool {
    is_mentioned(&message.content, &agent.me.username)
}

/// Whether a loop over mentions or commands should hand out the message.
pub(crate) fn is_question(agent: &AgentInner, message: &Message) -> bool {
    let is_command = |prefix: &str| decide_command(agent, message, prefix) == Decision::Respond;
    decide(agent, message) == Decision::Respond || agent.listeners.has_prefix(is_command)
}

fn unless_handled(agent: &AgentInner, message: &Message, decision: Decision) -> Decision {
    match decision {
        Decision::Respond if agent.own_results.lock().contains(&message.id) => Decision::FromSystem,
        Decision::Respond if is_answered(agent, &message.id) => Decision::Answered,
        Decision::Respond if agent.taken.lock().contains(&message.id) => Decision::Taken,
        decision => decision,
    }
}

fn is_answered(agent: &AgentInner, id: &MessageId) -> bool {
    agent.memory.as_ref().is_some_and(|memory| memory.is_answered(id))
}
