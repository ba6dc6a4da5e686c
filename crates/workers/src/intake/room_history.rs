//! Reads a room's history when Redis does not know the room.

use std::collections::HashSet;
use std::time::Duration;

use crustocean::agent::Room;
use crustocean::{Agent, Message};

use super::record::{OVERLAP, time_of};
use crate::answer::IN_REPLY_TO;

/// How many messages beyond the lookback the intake searches for an older answer.
const MAX_OLDER: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct RoomHistory {
    /// The time of the newest message, in ms; 0 if there is none.
    pub(super) last: i64,
    /// The ids of the messages with this time.
    pub(super) newest: Vec<String>,
    /// The time of the oldest answered question among the messages that were read, in ms. The time of its answer if the
    /// question was not among them.
    pub(super) answered: Option<i64>,
}

impl RoomHistory {
    /// Reads back as far as `lookback`, and further to the next older answer, but at most `MAX_OLDER` messages further.
    pub(super) fn read(agent: &Agent, room: &Room, lookback: Duration) -> crustocean::Result<RoomHistory> {
        let lookback = i64::try_from(lookback.as_millis()).unwrap_or(i64::MAX);
        let (mut history, mut older, mut questions) = (RoomHistory::default(), 0, HashSet::new());
        for message in room.history().limit(100).iter() {
            let message = message?;
            let time = time_of(&message);
            if time > history.last {
                history.last = time;
                history.newest.clear();
            }
            if time == history.last {
                history.newest.push(message.id.as_str().to_owned());
            }
            let is_recent = time >= history.last.saturating_sub(lookback).saturating_sub(OVERLAP);
            if let Some(question) = question_of(agent, &message) {
                history.answered = Some(time);
                questions.insert(question);
                if !is_recent {
                    break;
                }
            } else if questions.contains(message.id.as_str()) {
                history.answered = Some(time);
            }
            older += usize::from(!is_recent);
            if older > MAX_OLDER {
                break;
            }
        }
        Ok(history)
    }
}

/// The id of the question that a message answers, if the message is this agent's.
fn question_of(agent: &Agent, message: &Message) -> Option<String> {
    let question = message.metadata.get(IN_REPLY_TO)?;
    question.as_str().filter(|_| message.sender_id == agent.user().id).map(str::to_owned)
}
