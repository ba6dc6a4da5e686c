//! Four questions at a time: threads that share one agent. Each question goes to exactly one of them.
//!
//! `AGENT_TOKEN=sk_… cargo run --example worker_pool`; without a token on a sandbox, with somebody who asks.

use std::error::Error;
use std::time::Duration;

use crustocean::{Mentions, Result, agent::ExchangeLimit};

mod support;

fn main() -> Result<(), Box<dyn Error>> {
    let agent = support::agent("pool", |visitor| {
        for n in 1..=5 {
            visitor.say(&format!("@pool how long is question {n}?"))?;
        }
        visitor.hear(5)
    })?;
    agent.join("lobby")?;

    // Clones take from the same messages; other agents are answered so often, people always.
    let mentions = agent.mentions().limited(ExchangeLimit::default().count(100).delays([]));
    std::thread::scope(|scope| {
        let work = |mentions: Mentions, name: usize| -> Result<()> {
            for question in mentions {
                let question = question?;
                // The heartbeats are answered all the while, however long this takes.
                std::thread::sleep(Duration::from_millis(200));
                let letters = question.content.chars().count();
                agent.reply(&question, format!("{letters} characters, counted by worker {name}"))?;
            }
            Ok(())
        };
        let workers: Vec<_> = (1..=4)
            .map(|name| {
                let mentions = mentions.clone();
                scope.spawn(move || work(mentions, name))
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?.map_err(Into::into))
    })
}
