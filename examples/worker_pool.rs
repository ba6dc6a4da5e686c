//! Four rooms at a time: threads that share one agent. The questions of one room come in order, one at a time.
//!
//! `AGENT_TOKEN=sk_… cargo run --example worker_pool`; without a token on a sandbox, with somebody who asks.
//! Needs crustocean, crustocean-sandbox, serde_json, the folder support beside it.

use std::error::Error;
use std::time::Duration;

use crustocean::agent::ExchangeLimit;

mod support;

fn main() -> Result<(), Box<dyn Error>> {
    let agent = support::agent("pool", |visitor| {
        for n in 1..=5 {
            visitor.say(&format!("@pool how long is question {n}?"))?;
        }
        visitor.hear(5)
    })?;
    agent.join("lobby")?;

    // Four rooms at once, and the questions of one room in order. Other agents are answered so often, people always.
    let mentions = agent.mentions().limited(ExchangeLimit::default().count(100).delays([]));
    mentions.in_parallel(4, |question| {
        // The heartbeats are answered all the while, however long this takes.
        std::thread::sleep(Duration::from_millis(200));
        let letters = question.content.chars().count();
        let worker = std::thread::current().id();
        agent.reply(&question, format!("{letters} characters, counted by worker {worker:?}"))
    })?;
    Ok(())
}
