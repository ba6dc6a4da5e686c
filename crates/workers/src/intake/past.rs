//! What a room's history says, when Redis knows nothing of the room.

use std::collections::HashSet;
use std::time::Duration;

use crustocean::agent::Room;
use crustocean::{Agent, Message};

use super::book::{OVERLAP, time_of};
use crate::answer::IN_REPLY_TO;

/// How many messages are looked at for an answer that is older than what is to be read again.
const REACH: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Past {
    /// When the newest message was said, in ms; 0 if there is none.
    pub(super) last: i64,
    /// The messages that were said then.
    pub(super) newest: Vec<String>,
    /// When the oldest question was said that has an answer, as far back as was looked, in ms.
    pub(super) answered: Option<i64>,
}

impl Past {
    /// Reads back as far as `lookback`, and on to an answer that is older, if there is one close by.
    pub(super) fn read(agent: &Agent, room: &Room, lookback: Duration) -> crustocean::Result<Past> {
        let lookback = i64::try_from(lookback.as_millis()).unwrap_or(i64::MAX);
        let (mut past, mut beyond, mut questions) = (Past::default(), 0, HashSet::new());
        for message in room.history().limit(100).iter() {
            let message = message?;
            let time = time_of(&message);
            if time > past.last {
                past.last = time;
                past.newest.clear();
            }
            if time == past.last {
                past.newest.push(message.id.as_str().to_owned());
            }
            let is_recent = time >= past.last.saturating_sub(lookback).saturating_sub(OVERLAP);
            if let Some(question) = question_of(agent, &message) {
                past.answered = Some(time);
                questions.insert(question);
                if !is_recent {
                    break;
                }
            } else if questions.contains(message.id.as_str()) {
                past.answered = Some(time);
            }
            beyond += usize::from(!is_recent);
            if beyond > REACH {
                break;
            }
        }
        Ok(past)
    }
}

/// The id of the question that a message of this agent's answers.
fn question_of(agent: &Agent, message: &Message) -> Option<String> {
    let question = message.metadata.get(IN_REPLY_TO)?;
    question.as_str().filter(|_| message.sender_id == agent.user().id).map(str::to_owned)
}
