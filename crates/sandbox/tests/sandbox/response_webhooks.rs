//! Agents that answer by webhook.

// Helpers outside of test functions may fail a test, too.
use std::time::Duration;

use crate::common::receiver::Receiver;
use crate::common::{Socket, call, call_with, post, text};
use crustocean_sandbox::{Credentials, Sandbox};
use serde_json::{Value, json};

struct Stage {
    sandbox: Sandbox,
    alice: Credentials,
    bot: Credentials,
    lobby: String,
    webhook: Receiver,
}

fn stage(config: Value) -> Stage {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let bot = sandbox.add_agent("mybot", &alice.id).unwrap();
    let lobby = sandbox.lobby_id();
    let stage = Stage { sandbox, alice, bot, lobby, webhook: Receiver::start() };
    stage.configure(json!({ "response_webhook_url": stage.webhook.url, "personality": "dry" }));
    stage.configure(config);
    stage
}

impl Stage {
    fn configure(&self, config: Value) {
        let path = format!("/api/agents/{}/config", self.bot.id);
        let config = if config.is_null() { json!({}) } else { config };
        assert_eq!(call(&self.sandbox, "PATCH", &path, &self.alice.token, config).status, 200);
    }

    fn say(&self, who: &Credentials, room: &str, content: &str) {
        self.sandbox.say(room, &who.id, content, Value::Null).unwrap();
    }
}

#[test]
fn a_mention_is_posted_and_the_answer_is_the_agents() {
    let stage = stage(json!({ "response_webhook_secret": "s3cret" }));
    let mut alice = Socket::join(&stage.sandbox, &stage.alice.token, &stage.lobby);
    stage.webhook.answer(
        200,
        json!({ "content": "at your service", "metadata": { "skill": "x" } }),
        Duration::ZERO,
    );
    stage.say(&stage.alice, &stage.lobby, "hello @mybot_two");
    stage.say(&stage.alice, &stage.lobby, "hello @MyBot!");
    let answer = loop {
        let message = alice.wait("message");
        if message["sender_type"] == "agent" {
            break message;
        }
    };
    assert_eq!((&answer["sender_id"], &answer["content"]), (&json!(stage.bot.id), &json!("at your service")));
    assert_eq!(answer["metadata"], json!({ "skill": "x" }));

    let posted = stage.webhook.wait(1);
    assert_eq!(posted.len(), 1);
    let body = posted[0].json();
    assert_eq!((&body["agent"]["username"], &body["agent"]["persona"]), (&json!("mybot"), &json!("dry")));
    assert_eq!(body["agent"]["config"]["personality"], "dry");
    assert!(body["agencyCharter"].is_string());
    assert_eq!(body["message"]["content"], "hello @MyBot!");
    assert!(!posted[0].body.contains("s3cret"));
    assert_eq!(posted[0].header("x-crustocean-signature").map(|signature| signature.len()), Some(64));
}

#[test]
fn in_a_direct_message_no_mention_is_needed_and_errors_are_shown() {
    let stage = stage(Value::Null);
    let opened =
        call(&stage.sandbox, "POST", &format!("/api/dm/{}", stage.bot.id), &stage.alice.token, Value::Null);
    let room = text(&opened.body["agencyId"]);
    let mut alice = Socket::join(&stage.sandbox, &stage.alice.token, &room);
    stage.webhook.answer(200, json!({ "error": "out of tokens" }), Duration::ZERO);
    stage.say(&stage.alice, &room, "hello?");
    alice.wait("message");
    assert_eq!(alice.wait("message")["content"], "out of tokens");
    assert_eq!(stage.webhook.wait(1)[0].header("x-crustocean-signature"), None);
}

#[test]
fn only_those_who_may_prompt_the_agent_reach_it() {
    let stage = stage(json!({ "prompt_permission": "whitelist", "prompt_whitelist": ["bob"] }));
    let [bob, carol] = ["bob", "carol"].map(|name| stage.sandbox.add_user(name).unwrap());
    for who in [&carol, &bob, &stage.alice] {
        stage.say(who, &stage.lobby, "@mybot hi");
    }
    let senders = |count: usize| -> Vec<String> {
        let mut all: Vec<String> = stage
            .webhook
            .wait(count)
            .iter()
            .map(|posted| text(&posted.json()["message"]["sender_username"]))
            .collect();
        all.sort();
        all
    };
    assert_eq!(senders(2), ["alice", "bob"]);
    stage.configure(json!({ "prompt_permission": "closed" }));
    for who in [&carol, &bob, &stage.alice] {
        stage.say(who, &stage.lobby, "@mybot hi");
    }
    assert_eq!(senders(3), ["alice", "alice", "bob"]);
    stage.configure(json!({ "prompt_permission": "open" }));
    stage.say(&carol, &stage.lobby, "@mybot hi");
    assert_eq!(senders(4), ["alice", "alice", "bob", "carol"]);
}

#[test]
fn a_hook_that_speaks_triggers_whom_it_mentions() {
    let stage = stage(Value::Null);
    let room = stage.sandbox.add_agency("Shop", &stage.alice.id).unwrap();
    post(
        &stage.sandbox,
        &format!("/api/agencies/{room}/agents"),
        &stage.alice.token,
        json!({ "username": "mybot" }),
    );
    let commands = format!("/api/custom-commands/{room}/commands");
    let wanted = json!({ "name": "go", "webhook_url": "http://127.0.0.1:1/" });
    let key = text(&post(&stage.sandbox, &commands, &stage.alice.token, wanted)["hookKey"]);
    let speech = json!({ "agencyId": room, "content": "wake up @mybot" });
    let said =
        call_with(&stage.sandbox, "POST", "/api/hooks/messages", ("x-crustocean-hook-key", &key), speech);
    assert_eq!((said.status, &said.body["sender_username"]), (200, &json!("system")));
    assert_eq!(stage.webhook.wait(1)[0].json()["message"]["sender_id"], "system");
}

#[test]
fn two_agents_that_answer_each_other_come_to_an_end() {
    let stage = stage(Value::Null);
    let other = stage.sandbox.add_agent("other", &stage.alice.id).unwrap();
    let config = json!({ "response_webhook_url": stage.webhook.url });
    call(&stage.sandbox, "PATCH", &format!("/api/agents/{}/config", other.id), &stage.alice.token, config);
    for _ in 0..100 {
        stage.webhook.answer(200, json!({ "content": "@mybot @other your turn" }), Duration::ZERO);
    }
    stage.say(&stage.alice, &stage.lobby, "@mybot start");
    assert_eq!(stage.webhook.wait(20).len(), 20);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(stage.webhook.count(), 20);
}
