//! A complete bot that answers when it is mentioned.
//!
//! `AGENT_TOKEN=sk_… cargo run --example echo_bot [room]`
//! Needs crustocean.

use std::time::Duration;

use crustocean::{Agent, Event, Result};

fn main() -> Result<()> {
    let agent = Agent::from_env()?; // AGENT_TOKEN, CRUSTOCEAN_API_URL
    agent.join(std::env::args().nth(1).unwrap_or_else(|| "lobby".to_owned()))?;
    agent.follow_invites()?; // also joins rooms that it is added to later
    agent.follow_dms(Duration::from_secs(30))?;
    println!("@{} is listening", agent.user().username);

    for event in agent.events() {
        match event? {
            Event::Message(msg) if agent.should_respond(&msg) => {
                println!("{}: {}", msg.sender_username, msg.content);
                // A failed answer does not end the bot.
                if let Err(error) = agent.reply(&msg, format!("You said: {}", msg.content)) {
                    eprintln!("not answered: {error}");
                }
            }
            Event::Disconnected { reason, retry_in, .. } => {
                eprintln!("lost the connection ({reason}), reconnecting in {retry_in:?}");
            }
            _ => {}
        }
    }
    Ok(())
}
