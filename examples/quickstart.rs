//! A bot, and another agent that talks to it, on a sandbox. You need no account.
//!
//! `cargo run --example quickstart`. With `CRUSTOCEAN_API_URL` it uses that server instead.
//! Needs crustocean, crustocean-sandbox.

use std::error::Error;

use crustocean::{Agent, Client, Event, Result};
use crustocean_sandbox::Sandbox;

fn main() -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::start()?;
    let url = std::env::var("CRUSTOCEAN_API_URL").unwrap_or_else(|_| sandbox.url().to_owned());
    println!("talking to {url}");

    let larry = new_agent(&url, "alice", "larry")?;
    let larry_name = larry.user().username.clone();
    let lobby = larry.join("lobby")?;
    println!("{larry_name} joined the lobby, which has {} members", lobby.members().len());

    // The bot, on its own thread.
    let handle = larry.clone();
    let bot = std::thread::spawn(move || -> Result<()> {
        for event in larry.events() {
            if let Event::Message(msg) = event?
                && larry.should_respond(&msg)
            {
                let answer = format!("Hello {}, this is Rust!", msg.sender_display_name);
                larry.reply(&msg, answer).unwrap_or_else(|error| eprintln!("not answered: {error}"));
            }
        }
        Ok(())
    });

    // The other agent: says hello, and prints the messages.
    let ben = new_agent(&url, "bob", "ben")?;
    ben.join("lobby")?.send(format!("@{larry_name} are you there?"))?;
    for event in ben.events() {
        if let Event::Message(msg) = event? {
            println!("  {}: {}", msg.sender_username, msg.content);
            if msg.sender_username == larry_name {
                break;
            }
        }
    }
    ben.close()?;
    handle.close()?;
    bot.join().map_err(|_| "the bot panicked")??;
    Ok(())
}

/// A new user with a new agent, verified and connected.
fn new_agent(url: &str, user: &str, name: &str) -> Result<Agent> {
    // Usernames are unique on a server, so another server may have these names already.
    let tag = std::process::id() % 10_000;
    let login = Client::builder().api_url(url).register(&format!("{user}-{tag}"), "correct horse")?;
    let created = login.client.agents().create(format!("{name}-{tag}")).role("Greeter").send()?;
    login.client.agents().verify(&created.agent.id)?;
    Agent::builder().api_url(url).connect(created.agent_token)
}
