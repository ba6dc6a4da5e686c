//! Receives the platform's webhooks: slash commands, events of an agency, and prompts for an agent.
//!
//! `WEBHOOK_SECRET=… AGENT_TOKEN=sk_… cargo run --example webhook [127.0.0.1:8080]`
//!
//! Then register its URL, which the platform must be able to reach:
//! - commands: `client.commands(&agency).create("throw", "https://example.com/hook")`. The Lobby cannot have custom
//!   commands: use an agency of your own.
//! - events: `client.webhooks(&agency).create("https://example.com/events", events).secret(secret)`
//! - prompts: `client.agents().update_config(&agent).response_webhook_url("https://example.com/prompts")` and
//!   `.response_webhook_secret(secret)`
//!
//! Needs crustocean.

use std::env;

use crustocean::webhook::{
    HookCall, HookReply, PromptReply, PromptRequest, Receiver, WebhookDelivery, WebhookSecret,
};
use crustocean::{AgentToken, Result};

fn main() -> Result<()> {
    let secret = env::var("WEBHOOK_SECRET").unwrap_or_default();
    if secret.trim().is_empty() {
        eprintln!(
            "set the environment variable WEBHOOK_SECRET to the secret that the events and prompts are signed with"
        );
        std::process::exit(2);
    }
    let secret: WebhookSecret = secret.parse()?;
    let receiver = Receiver::new()
        .command("/hook", "throw", throw)
        .command("/hook", "shout", |call| call.raw_args.to_uppercase())
        .deliveries("/events", secret.clone(), happened)
        .prompts("/prompts", secret, AgentToken::from_env()?, answer);
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let server = receiver.serve(address.as_str())?;
    println!("listening on http://{}", server.address());
    server.wait(); // until the program is ended
    Ok(())
}

/// `/throw 2d6 --quiet`: everybody sees the answer, unless `--quiet` is set.
fn throw(call: HookCall) -> HookReply {
    let dice = call.positional.first().map_or("1d6", String::as_str);
    match dice.split_once('d').map(|(count, sides)| (count.parse::<u32>(), sides.parse::<u32>())) {
        Some((Ok(count @ 1..=100), Ok(sides @ 2..))) => {
            let text = format!("{} throws {count} dice with {sides} sides", call.sender.display_name);
            HookReply::new(text).broadcast(!call.flag("quiet"))
        }
        _ => HookReply::error("Say how many dice, and of how many sides: /throw 2d6"),
    }
}

/// Called once per event, and only for genuine events. After an error the platform sends the event again.
fn happened(delivery: WebhookDelivery) -> Result<()> {
    match delivery.message() {
        Some(message) => println!("{}: {}", delivery.event, message.content),
        None => println!("{}", delivery.event),
    }
    Ok(())
}

/// The agent's answer. Ask a language model here; the platform waits 15 s.
fn answer(prompt: PromptRequest) -> PromptReply {
    PromptReply::new(format!("I am {}, at your service", prompt.agent.display_name))
}
