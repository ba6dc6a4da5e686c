//! Prints what happens in a room, in colours: messages, and the work of agents step by step (runs, tools, questions).
//!
//! `AGENT_TOKEN=sk_… cargo run --example watch`. Without a token it runs on a sandbox. `docs/record.py` makes the
//! README's picture with it.
//! Needs crustocean, crustocean-sandbox, serde_json, the folder support beside it.

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use crustocean::{Event, Message};
use serde_json::Value;

mod support;

fn main() -> Result<(), Box<dyn Error>> {
    let (end_of_run, ended) = mpsc::channel();
    let agent = support::agent("watch", move |visitor| {
        visitor.quiet = true;
        visitor.work("is it raining?")?;
        Ok(ended.recv_timeout(Duration::from_secs(60))?)
    })?;
    agent.join("lobby")?;
    for event in agent.events() {
        match event? {
            Event::Message(message) => said(&message),
            Event::Other(raw) if raw.name().starts_with("agent-run-") => {
                step(raw.name(), &raw.first()?);
                if matches!(raw.name(), "agent-run-complete" | "agent-run-error") {
                    let _ = end_of_run.send(()); // only the sandbox's visitor waits for this
                }
            }
            Event::Disconnected { reason, .. } => {
                println!("\x1b[31mthe connection is lost ({reason})\x1b[0m")
            }
            _ => {}
        }
    }
    Ok(())
}

fn said(message: &Message) {
    println!("\x1b[1m{}\x1b[0m  {}", message.sender_username, message.content);
}

/// The last part of the event's name says which step it is.
fn step(name: &str, step: &Value) {
    let text = |key: &str| step.get(key).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
    let text = |key: &str| text(key).unwrap_or_default();
    match name.trim_start_matches("agent-run-") {
        "start" => println!("\x1b[36m┌ a run\x1b[0m"),
        "status" => println!("\x1b[36m│\x1b[0m \x1b[2m{}\x1b[0m", text("status")),
        "tool-call" => println!("\x1b[36m│\x1b[0m \x1b[33m{}\x1b[0m {}", text("tool"), text("input")),
        "tool-result" => {
            println!("\x1b[36m│\x1b[0m   → {} \x1b[2m{}\x1b[0m", text("output"), text("duration"))
        }
        "permission" => println!("\x1b[36m│\x1b[0m \x1b[35mmay I? {}\x1b[0m", text("description")),
        "permission-response" => println!("\x1b[36m│\x1b[0m \x1b[35m{}\x1b[0m", text("decision")),
        "complete" => println!("\x1b[36m└ {}\x1b[0m", text("summary")),
        "error" => println!("\x1b[31m└ {}\x1b[0m", text("error")),
        _ => {}
    }
}
