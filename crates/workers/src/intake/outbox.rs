//! Answers of workers that have no connection of their own.

use std::time::Duration;

use crustocean::{Agent, Message};
use serde::{Deserialize, Serialize};

use super::Intake;
use crate::answer::Answer;
use crate::backoff::Backoff;
use crate::consumer::{Consumer, Entry, Outcome, RetryPolicy, Source};
use crate::error::Result;
use crate::lease::Term;
use crate::speaker::{Speaker, Unsaid};

/// What is in an entry of that stream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Handed {
    pub(crate) question: Message,
    pub(crate) answer: Answer,
}

/// Says what workers hand over, in their order, as long as the term lasts.
pub(super) fn run(intake: &Intake, agent: &Agent, term: &Term) -> Result<()> {
    let keys = &intake.keys;
    let stream = keys.answers();
    let source = Source { restart: keys.restart(&stream), answers: String::new(), dead: keys.dead(), stream };
    let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
    let policy = RetryPolicy { deliveries: 5, backoff, most_dead: 100_000 };
    let speaker = Speaker::of(agent, intake.lease.length() / 4);
    let mut link = intake.store.link();
    Consumer::new(&intake.store, term, source, policy).run(|entry| {
        let handed = match serde_json::from_str::<Handed>(&entry.message) {
            Ok(handed) => handed,
            Err(error) => return Outcome::Hopeless(format!("this is no answer: {error}")),
        };
        match say(&speaker, term, &mut link, entry, &handed) {
            Ok(()) => Outcome::Done(None),
            Err(Unsaid::Left) => Outcome::Left,
            Err(Unsaid::Failed(reason)) => Outcome::Failed(reason),
        }
    })
}

fn say(
    speaker: &Speaker,
    term: &Term,
    link: &mut crate::store::Link,
    entry: &Entry,
    handed: &Handed,
) -> Result<(), Unsaid> {
    let Some(outgoing) = handed.answer.outgoing(&handed.question) else { return Ok(()) };
    if entry.doubtful {
        let room = speaker.room(term, &handed.question)?;
        if speaker.is_answered(term, &room, &handed.question)? {
            return Ok(());
        }
    }
    speaker.say(term, link, &handed.question, &outgoing)
}
