//! Connects a room with standard input and output: sends each line of the input to the room, and prints the room's
//! messages. Ends at the end of the input.
//!
//! `AGENT_TOKEN=sk_… cargo run --example bridge [room]`, or `date | … bridge`. Without a token it runs on a sandbox,
//! where a visitor answers every line.
//! Needs crustocean, crustocean-sandbox, serde_json, the folder support beside it.

use std::error::Error;

use crustocean::{Agent, Event, Result, Room};

mod support;

fn main() -> Result<(), Box<dyn Error>> {
    let agent = support::agent("bridge", |visitor| {
        visitor.quiet = true; // the bridge prints it
        while visitor.hear(1).is_ok() {
            visitor.say("I can hear you")?;
        }
        Ok(())
    })?;
    let room = agent.join(std::env::args().nth(1).unwrap_or_else(|| "lobby".to_owned()))?;
    println!("in {}, as @{}", room.slug().unwrap_or("the room"), agent.user().username);

    let keyboard = agent.clone();
    let typing = std::thread::spawn(move || speak(keyboard, &room));
    for event in agent.events() {
        match event? {
            Event::Message(message) if message.sender_id == agent.user().id => {}
            Event::Message(message) => println!("{}: {}", message.sender_display_name, message.content),
            Event::MessageEdited(edit) => println!("(now: {})", edit.content),
            Event::Disconnected { reason, .. } => eprintln!("lost the connection ({reason}), reconnecting"),
            Event::ServerError { message, .. } => eprintln!("the server says: {message}"),
            _ => {}
        }
    }
    Ok(typing.join().map_err(|_| "the keyboard thread panicked")??)
}

/// Sends every line. At the end of the input it closes the agent, which ends the loop over its events.
fn speak(agent: Agent, room: &Room) -> Result<()> {
    for line in std::io::stdin().lines().map_while(std::io::Result::ok) {
        if !line.trim().is_empty() {
            room.post(line)?; // waits until the room shows the line, so that the last one is not lost
        }
    }
    agent.close()
}
