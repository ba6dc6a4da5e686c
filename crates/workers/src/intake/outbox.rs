//! Posts the answers of workers that have no connection of their own.

use std::time::Duration;

use crustocean::Agent;

use super::setup::Setup;
use crate::answer::HandedOver;
use crate::answer_sender::{AnswerSender, NotSent};
use crate::backoff::Backoff;
use crate::connection::RedisConnection;
use crate::consumer::{Consumer, Entry, Outcome, RetryPolicy, Source};
use crate::error::Result;
use crate::lease::Term;

/// Posts the answers that workers hand over, in their order, until the term ends.
pub(super) fn run(intake: &Setup, agent: &Agent, term: &Term) -> Result<()> {
    let keys = &intake.keys;
    let stream = keys.answers();
    let source = Source { restart: keys.restart(&stream), answers: String::new(), dead: keys.dead(), stream };
    let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
    let policy = RetryPolicy { deliveries: 5, backoff, max_dead_letters: 100_000 };
    let sender = AnswerSender::through(agent, intake.lease.length() / 4);
    let mut redis = intake.store.connection();
    Consumer::new(&intake.store, term, source, policy).run(|entry| {
        let handed_over = match serde_json::from_str::<HandedOver>(&entry.message) {
            Ok(handed_over) => handed_over,
            Err(error) => return Outcome::Permanent(format!("the entry is not an answer: {error}")),
        };
        match post(&sender, term, &mut redis, entry, &handed_over) {
            Ok(()) => Outcome::Done(None),
            Err(NotSent::TermEnded) => Outcome::TermEnded,
            Err(NotSent::Failed(reason)) => Outcome::Failed(reason),
        }
    })
}

fn post(
    sender: &AnswerSender,
    term: &Term,
    redis: &mut RedisConnection,
    entry: &Entry,
    handed_over: &HandedOver,
) -> Result<(), NotSent> {
    let Some(outgoing) = handed_over.answer.outgoing(&handed_over.question) else { return Ok(()) };
    if entry.maybe_answered {
        let room = sender.room(term, &handed_over.question)?;
        if sender.is_answered(term, &room, &handed_over.question)? {
            return Ok(());
        }
    }
    sender.post(term, redis, &handed_over.question, &outgoing)
}
