//! Lets the examples run without an account: connects the agent of the environment, or an agent on a sandbox with a
//! visitor. Your own bot starts with `Agent::from_env()?` instead.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each example takes what it needs")]
#![allow(clippy::indexing_slicing, reason = "a key that is missing from JSON reads as null")]

mod model;

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use crustocean::{Agent, Event, Events, Room};
use crustocean_sandbox::Sandbox;
use serde_json::json;

pub use model::model_url;

/// How long the visitor waits for an answer before the demonstration fails.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

type Outcome = Result<(), Box<dyn Error>>;

/// Connects the agent whose token is in `AGENT_TOKEN`. Without a token, connects an agent `name` on a sandbox in this
/// process. There, `visit` runs as a visitor after the agent has joined the lobby; then the agent is closed, which
/// ends its loop.
pub fn agent(
    name: &str,
    visit: impl FnOnce(&mut Visitor) -> Outcome + Send + 'static,
) -> Result<Agent, Box<dyn Error>> {
    if ["AGENT_TOKEN", "CRUSTOCEAN_AGENT_TOKEN"].iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(Agent::from_env()?);
    }
    eprintln!("AGENT_TOKEN is not set: this runs on a sandbox, with a visitor to talk to");
    let sandbox = Sandbox::start()?;
    let owner = sandbox.add_user("alice")?;
    let connect = |name: &str| -> Result<Agent, Box<dyn Error>> {
        let made = sandbox.add_agent(name, &owner.id)?;
        Ok(Agent::builder().api_url(sandbox.url()).connect(made.token.parse()?)?)
    };
    let (agent, visitor) = (connect(name)?, connect("visitor")?);
    let room = visitor.join("lobby")?;
    let hosted = agent.clone();
    std::thread::spawn(move || {
        let joined = sandbox.wait_for_events("join-agency", 2, WAIT_LIMIT).len() == 2;
        let events = visitor.events();
        let mut visitor = Visitor {
            agent: visitor,
            room,
            events,
            bot: hosted.user().username.clone(),
            open: 0,
            quiet: false,
        };
        let outcome = match joined {
            true => visit(&mut visitor).and_then(|()| visitor.let_finish()),
            false => Err("the bot did not join the lobby".into()),
        };
        if let Err(error) = outcome {
            eprintln!("the demonstration failed: {error}");
            std::process::exit(1);
        }
        let _ = hosted.close();
    });
    Ok(agent)
}

/// A user in the lobby.
pub struct Visitor {
    agent: Agent,
    room: Room,
    events: Events,
    bot: String,
    /// Runs of the bot that are open.
    open: usize,
    /// Prints nothing.
    pub quiet: bool,
}

impl Visitor {
    /// Sends a message to the lobby.
    pub fn say(&self, text: &str) -> Outcome {
        self.print("visitor", text);
        Ok(self.room.send(text)?)
    }

    /// Waits for `count` more messages of the bot, and prints them.
    pub fn hear(&mut self, count: usize) -> Outcome {
        let mut heard = 0;
        while heard < count {
            match self.next("an answer")? {
                Event::Message(message) if message.sender_username == self.bot => {
                    self.print(&self.bot, &message.content);
                    heard += 1;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Answers the bot's next permission request, like a click in the web client.
    pub fn decide(&mut self, decision: &str) -> Outcome {
        loop {
            match self.next("a request for permission")? {
                Event::Other(raw) if raw.name() == "agent-run-permission" => {
                    let asked: serde_json::Value = raw.first()?;
                    self.print("visitor", &format!("{} -> {decision}", asked["description"]));
                    let answer = json!({
                        "agencyId": asked["agencyId"], "runId": asked["runId"],
                        "permissionId": asked["permissionId"], "decision": decision,
                    });
                    return Ok(self.agent.raw().emit("agent-run-permission-response", &answer)?);
                }
                _ => {}
            }
        }
    }

    /// Shows some work in the room: a run with one tool.
    pub fn work(&mut self, question: &str) -> Outcome {
        self.say(question)?;
        let run = self.room.start_run(crustocean::run::Trigger::none())?;
        run.status("looking out of the window")?;
        run.tool("window", json!({ "direction": "west" }))?.done("blue sky")?;
        Ok(run.complete("it is dry")?)
    }

    fn print(&self, who: &str, text: &str) {
        if !self.quiet {
            // Not `println!`, which panics if nobody reads the output any more.
            let _ = writeln!(std::io::stdout(), "{who}: {text}");
        }
    }

    /// Waits until the bot's runs have ended.
    fn let_finish(&mut self) -> Outcome {
        while self.open > 0 {
            self.next("the end of a run")?;
        }
        Ok(())
    }

    fn next(&mut self, what: &str) -> Result<Event, Box<dyn Error>> {
        let event = self.events.recv_timeout(WAIT_LIMIT);
        let event = event.map_err(|error| format!("waiting for {what}: {error}"))?;
        if let Event::Other(raw) = &event {
            match raw.name() {
                "agent-run-start" => self.open += 1,
                "agent-run-complete" | "agent-run-error" => self.open = self.open.saturating_sub(1),
                _ => {}
            }
        }
        Ok(event)
    }
}
