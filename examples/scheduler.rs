//! Posts on a timer and answers in between: one thread, `recv_timeout`.
//!
//! `AGENT_TOKEN=sk_… cargo run --example scheduler [seconds]`; without a token on a sandbox, once a second.
//! Needs crustocean, crustocean-sandbox, serde_json, the folder support beside it.

use std::error::Error;
use std::time::{Duration, Instant};

use crustocean::{Result, agent::RecvError};

mod support;

fn main() -> Result<(), Box<dyn Error>> {
    let agent = support::agent("scheduler", |visitor| {
        visitor.hear(1)?;
        visitor.say("@scheduler when is the next one?")?;
        visitor.hear(2)
    })?;
    let room = agent.join("lobby")?;
    let seconds = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    let every = Duration::from_secs(seconds);

    let mentions = agent.mentions();
    let (mut due, mut count) = (Instant::now() + every, 0);
    loop {
        match mentions.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(question) => {
                let left = due.saturating_duration_since(Instant::now()).as_secs_f32();
                let said = agent.reply(&question, format!("in {left:.1} s"));
                said.unwrap_or_else(|error| eprintln!("not answered: {error}"));
            }
            Err(RecvError::Timeout) => {
                count += 1;
                let said = room.send(format!("report {count}: all is well"));
                said.unwrap_or_else(|error| eprintln!("report {count} is not said: {error}"));
                // From when it was due, not from now: a slow answer does not shift all that follow. A missed one is
                // not made up for.
                due = (due + every).max(Instant::now());
            }
            Err(RecvError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
