//! A sandbox with a user and agents.

use std::{
    ops::Deref,
    time::{Duration, Instant},
};

use crustocean::{
    AgencyId, Agent, AgentToken, Client, Event, Events, Mentions, Message, PersonalAccessToken,
    agent::{AgentBuilder, Mention, RecvError},
};
use crustocean_sandbox::{Builder, Credentials, Sandbox, Suspended};

/// The time limit for everything that should happen. It is long, because the machine may be busy. A test that succeeds
/// does not wait longer.
pub const SOON: Duration = Duration::from_secs(30);
/// The time limit of a wait that has no other limit.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sandbox with a user, `alice`, who owns the agents. It has the methods of [`Sandbox`], too.
pub struct TestSandbox {
    pub server: Sandbox,
    pub alice: Credentials,
}

impl Deref for TestSandbox {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.server
    }
}

impl TestSandbox {
    pub fn new() -> TestSandbox {
        TestSandbox::with(Sandbox::builder())
    }

    pub fn with(builder: Builder) -> TestSandbox {
        let server = builder.start().expect("the sandbox starts");
        let alice = server.add_user("alice").expect("alice");
        TestSandbox { server, alice }
    }

    /// Starts a server with the data and the port of a suspended server.
    pub fn resumed(state: Suspended, alice: Credentials) -> TestSandbox {
        let server = Sandbox::builder().resume(state).start().expect("the sandbox starts again");
        TestSandbox { server, alice }
    }

    /// The token of a new, verified agent.
    pub fn agent_token(&self, name: &str) -> AgentToken {
        let agent = self.server.add_agent(name, &self.alice.id).expect("an agent");
        agent.token.parse().expect("an agent token")
    }

    pub fn builder(&self) -> AgentBuilder {
        Agent::builder().api_url(self.server.url())
    }

    /// A new agent, connected.
    pub fn connect(&self, name: &str) -> Agent {
        self.builder().connect(self.agent_token(name)).expect("connects")
    }

    /// A new agent in the lobby.
    pub fn in_lobby(&self, name: &str) -> Agent {
        let agent = self.connect(name);
        agent.set_home(&agent.join("lobby").expect("joins the lobby")).expect("joins the lobby");
        agent
    }

    /// A new room of alice, `Shop`, and a new agent that is a member and has the room as its home.
    pub fn shop(&self, agent: &str) -> (AgencyId, Agent) {
        let connected = self.connect(agent);
        let room = self.client().agencies().create("Shop").send().expect("a room").id;
        self.client().agencies().add_agent(&room, agent).expect("a member");
        connected.set_home(&connected.join(&room).expect("joins the shop")).expect("has a home");
        (room, connected)
    }

    /// A new agent in the lobby, the lobby as people use it, and the agent's loop over mentions.
    pub fn in_conversation(&self, name: &str) -> (Agent, crustocean_sandbox::Room<'_>, Mentions) {
        let agent = self.in_lobby(name);
        let mentions = agent.mentions();
        (agent, self.room("lobby").expect("the lobby"), mentions)
    }

    /// REST as alice.
    pub fn client(&self) -> Client {
        let token: PersonalAccessToken = self.alice.token.parse().expect("a token");
        Client::builder().api_url(self.server.url()).build(token).expect("a client")
    }

    /// Posts a message of alice to the lobby.
    pub fn alice_says(&self, text: &str) {
        self.server
            .say(&self.server.lobby_id(), &self.alice.id, text, serde_json::Value::Null)
            .expect("alice speaks");
    }
}

/// Waits for the first event for which `wanted` returns something, and returns that.
pub fn wait_for<T>(events: &Events, what: &str, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) => {
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
            Err(RecvError::Timeout) => panic!("no {what} within {PATIENCE:?}"),
            Err(error) => panic!("waiting for {what}: {error}"),
        }
    }
}

/// Waits for the next message that contains `text`.
pub fn wait_for_message(events: &Events, text: &str) -> Message {
    wait_for(events, text, |event| match event {
        Event::Message(message) if message.content.contains(text) => Some(message),
        _ => None,
    })
}

/// Says `text` in the room as alice, and waits until the loop hands it out.
pub fn asked(room: &crustocean_sandbox::Room<'_>, mentions: &Mentions, text: &str) -> Mention {
    room.say("alice", text).expect("alice speaks");
    mentions.recv_timeout(PATIENCE).expect("the question")
}

/// Waits until a condition holds.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An agent connected to a scripted server.
pub fn scripted(server: &super::ScriptedServer) -> Agent {
    let token = "sk_x".parse().expect("a token");
    Agent::builder().api_url(server.url()).connect(token).expect("connects")
}
