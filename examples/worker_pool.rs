//! Four threads share one agent and answer four questions at a time. Each question goes to one thread.
//!
//! `AGENT_TOKEN=sk_… cargo run --example worker_pool`. Without a token it runs on a sandbox, where a visitor asks.

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

    // Clones share one queue. Answers to other agents are limited; people are always answered.
    let mentions = agent.mentions().limited(ExchangeLimit::default().count(100).delays([]));
    std::thread::scope(|scope| {
        let work = |mentions: Mentions, name: usize| -> Result<()> {
            for question in mentions {
                let question = question?;
                // Heartbeats are answered meanwhile, however long this takes.
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
