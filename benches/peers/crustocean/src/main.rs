//! A minimal bot. It logs in, reads fifteen messages, joins a room, and replies when a message mentions it.
use crustocean::{Agent, Event};

fn main() -> crustocean::Result<()> {
    let agent = Agent::from_env()?;
    let room = agent.join("lobby")?;
    for message in agent.client().agencies().messages(room.id()).limit(15).send()? {
        println!("{}: {}", message.sender_username, message.content);
    }
    for event in agent.events() {
        if let Event::Message(message) = event?
            && agent.should_respond(&message)
        {
            agent.reply(&message, "Hello from Rust!")?;
        }
    }
    Ok(())
}
