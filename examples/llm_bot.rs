//! A bot that answers with a language model. The room's last 15 messages are the context, and the room sees the answer grow.
//!
//! `AGENT_TOKEN=sk_… OPENAI_API_KEY=sk-… cargo run --example llm_bot`. It works with every endpoint that
//! has OpenAI's protocol, also a local one: `OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_MODEL=llama3.2`. Without a token
//! it runs on a sandbox, without a model it uses fixed answers.
//! Needs crustocean, crustocean-sandbox, serde_json, ureq, the folder support beside it.

use std::env::var;
use std::error::Error;
use std::io::{self, BufRead, BufReader};
use std::time::Duration;

use crustocean::{Agent, Message, Stop, agent::ExchangeLimit};
use serde_json::{Value, json};

mod support;

fn main() -> Result<(), Box<dyn Error>> {
    let agent = support::agent("llm", |visitor| {
        visitor.say("What was first, the hen or the egg?")?;
        visitor.say("@llm what do you think?")?;
        visitor.hear(1)
    })?;
    let model = Model::from_env()?;
    agent.join("lobby")?;
    agent.join_all()?; // rooms that it was added to
    agent.follow_invites()?; // rooms that it is added to later
    agent.follow_dms(Duration::from_secs(30))?;

    for question in agent.mentions().limited(ExchangeLimit::default()) {
        let question = question?;
        // The room has seen the error, because a dropped run ends as an error.
        if let Err(error) = answer(&agent, &model, &question) {
            eprintln!("no answer to {}: {error}", question.id);
        }
    }
    Ok(())
}

fn answer(agent: &Agent, model: &Model, question: &Message) -> Result<(), Box<dyn Error>> {
    let room = agent.room_of(question);
    let run = room.start_run(question)?;
    run.status("reading the room")?;
    let me = agent.user();
    let persona = format!("You are @{}, in a chat room. Answer the last message briefly.", me.username);
    let mut prompt = vec![json!({ "role": "system", "content": persona })];
    let worth = |said: &Message| !said.is_system() && !said.metadata.is_agent_log();
    for said in room.recent(15)?.into_iter().filter(worth) {
        let (role, text) = match said.sender_id == me.id {
            true => ("assistant", said.content),
            false => ("user", format!("@{}: {}", said.sender_username, said.content)),
        };
        prompt.push(json!({ "role": role, "content": text }));
    }
    run.status("thinking")?;
    let mut text = run.stream()?;
    // Ends at once when a member of the room stops the run, not only at the next word.
    for part in model.ask(&prompt, &run.stopped())? {
        text.push(part?)?;
    }
    text.finish()?;
    Ok(run.complete(if run.is_stopped() { "stopped" } else { "answered" })?)
}

type Piece = io::Result<String>;

struct Model {
    url: String,
    key: String,
    name: String,
}

impl Model {
    fn from_env() -> Result<Model, Box<dyn Error>> {
        let key = var("OPENAI_API_KEY").unwrap_or_default();
        let name = var("OPENAI_MODEL").unwrap_or_else(|_| "gpt-4o-mini".to_owned());
        Ok(Model { url: format!("{}/chat/completions", support::model_url()?), key, name })
    }

    /// Reads the answer piece by piece, until `stop` is stopped.
    fn ask(
        &self,
        prompt: &[Value],
        stop: &Stop,
    ) -> Result<impl Iterator<Item = Piece> + use<>, Box<dyn Error>> {
        let body = json!({ "model": self.name, "messages": prompt, "stream": true }).to_string();
        let request = ureq::post(&self.url).content_type("application/json");
        let request = request.header("authorization", format!("Bearer {}", self.key));
        let answer = stop.reader(request.send(body)?.into_body().into_reader())?;
        // Skips lines that contain no text (comments, the end).
        let piece = |line: String| -> Option<String> {
            let event: Value = serde_json::from_str(line.strip_prefix("data:")?).ok()?;
            Some(event.pointer("/choices/0/delta/content")?.as_str()?.to_owned())
        };
        let lines = BufReader::new(answer).lines();
        Ok(lines.filter_map(move |line| line.map(piece).transpose()))
    }
}
