//! A bot whose language model uses tools. The room sees each tool call as a card, must permit writing, and can stop
//! or adjust the run.
//!
//! `AGENT_TOKEN=sk_… OPENAI_API_KEY=sk-… cargo run --example tool_bot`; OPENAI_BASE_URL and OPENAI_MODEL as in
//! `llm_bot`. Without a token it runs on a sandbox, without a model it uses fixed answers.
//! Needs crustocean, crustocean-sandbox, serde_json, ureq, the folder support beside it.
#![allow(clippy::indexing_slicing, reason = "a key that is missing from JSON reads as null")]

use std::env::var;
use std::error::Error;

use crustocean::{Agent, Message, Outgoing, run::Run};
use serde_json::{Value, json};

mod support;

fn main() -> Result<(), Box<dyn Error>> {
    let agent = support::agent("tool", |visitor| {
        ["approve", "deny"].into_iter().try_for_each(|decision| {
            visitor.say("@tool roll a die and write down what it shows")?;
            visitor.decide(decision)?;
            visitor.hear(1)
        })
    })?;
    let model = support::model_url()? + "/chat/completions";
    agent.join("lobby")?;
    for question in agent.mentions() {
        let question = question?;
        // The end of the run has shown the error to the room.
        work(&agent, &model, &question).unwrap_or_else(|error| eprintln!("{} failed: {error}", question.id));
    }
    Ok(())
}

fn work(agent: &Agent, model: &str, task: &Message) -> Result<(), Box<dyn Error>> {
    let room = agent.room_of(task);
    let run = room.start_run(task)?;
    let mut messages = vec![json!({ "role": "user", "content": task.content })];
    for round in 1..=8 {
        if run.is_stopped() {
            return Ok(run.complete("stopped")?);
        }
        if let Some(text) = run.interrupt().and_then(|interrupt| interrupt.message) {
            messages.push(json!({ "role": "user", "content": text }));
        }
        run.status(format!("thinking, round {round}"))?;
        let thought = ask(model, &messages)?;
        let calls = thought["tool_calls"].as_array().cloned().unwrap_or_default();
        if calls.is_empty() {
            let text = thought["content"].as_str().unwrap_or("I have nothing to say.");
            room.post(Outgoing::new(text).in_reply_to(task))?;
            return Ok(run.complete("answered")?);
        }
        messages.push(thought);
        for call in calls {
            let output = use_tool(&run, &call)?;
            messages.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": output }));
        }
    }
    Ok(run.error("too many rounds")?)
}

/// One tool call, shown as a card in the room. The model gets a failure as text.
fn use_tool(run: &Run, call: &Value) -> Result<String, Box<dyn Error>> {
    let (id, name) = (call["id"].as_str().unwrap_or(""), call["function"]["name"].as_str().unwrap_or("?"));
    let input: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap_or("{}"))?;
    let mut card = run.tool_with_id(id, name, input.clone())?;
    let output = match name {
        "roll_die" => {
            let sides = input["sides"].as_u64().unwrap_or(6).max(1);
            (std::time::UNIX_EPOCH.elapsed()?.subsec_nanos() as u64 % sides + 1).to_string()
        }
        "write_down" => {
            card = match card.if_permitted(format!("Write down: {}", input["text"]))? {
                Some(card) => card,
                None => return Ok("permission denied".to_owned()), // its card shows why
            };
            println!("noted: {}", input["text"]);
            "written down".to_owned()
        }
        _ => format!("there is no tool {name}"),
    };
    card.done(output.as_str())?;
    Ok(output)
}

fn ask(url: &str, messages: &[Value]) -> Result<Value, Box<dyn Error>> {
    let tool = |name: &str, argument: &str, kind: &str| {
        let parameters = json!({ "type": "object", "properties": { argument: { "type": kind } } });
        json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
    };
    let tools = [tool("roll_die", "sides", "integer"), tool("write_down", "text", "string")];
    let model = var("OPENAI_MODEL").unwrap_or_else(|_| "gpt-4o-mini".to_owned());
    let body = json!({ "model": model, "messages": messages, "tools": tools }).to_string();
    let key = format!("Bearer {}", var("OPENAI_API_KEY").unwrap_or_default());
    let reply = ureq::post(url).content_type("application/json").header("authorization", key).send(body)?;
    let answer: Value = serde_json::from_reader(reply.into_body().into_reader())?;
    Ok(answer["choices"][0]["message"].clone())
}
