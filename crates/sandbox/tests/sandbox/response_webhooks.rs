//! Agents that answer by webhook.

// Helpers outside of test functions may panic, too.
use std::time::Duration;

use crate::common::receiver::Receiver;
use crate::common::{Socket, call, call_with, post, text};
use crustocean_sandbox::{Credentials, Sandbox};
use serde_json::{Value, json};

struct Fixture {
    sandbox: Sandbox,
    alice: Credentials,
    bot: Credentials,
    lobby: String,
    webhook: Receiver,
}

fn fixture(config: Value) -> Fixture {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let bot = sandbox.add_agent("mybot", &alice.id).unwrap();
    let lobby = sandbox.lobby_id();
    let fixture = Fixture { sandbox, alice, bot, lobby, webhook: Receiver::start() };
    fixture.configure(json!({ "response_webhook_url": fixture.webhook.url, "personality": "dry" }));
    fixture.configure(config);
    fixture
}

impl Fixture {
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
fn a_mention_is_posted_and_the_answer_becomes_the_agents_message() {
    let fixture = fixture(json!({ "response_webhook_secret": "s3cret" }));
    let mut alice = Socket::join(&fixture.sandbox, &fixture.alice.token, &fixture.lobby);
    fixture.webhook.answer(
        200,
        json!({ "content": "at your service", "metadata": { "skill": "x" } }),
        Duration::ZERO,
    );
    fixture.say(&fixture.alice, &fixture.lobby, "hello @mybot_two");
    fixture.say(&fixture.alice, &fixture.lobby, "hello @MyBot!");
    let answer = loop {
        let message = alice.wait("message");
        if message["sender_type"] == "agent" {
            break message;
        }
    };
    assert_eq!(
        (&answer["sender_id"], &answer["content"]),
        (&json!(fixture.bot.id), &json!("at your service"))
    );
    assert_eq!(answer["metadata"], json!({ "skill": "x" }));

    let posted = fixture.webhook.wait(1);
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
fn direct_messages_need_no_mention_and_show_errors() {
    let fixture = fixture(Value::Null);
    let opened = call(
        &fixture.sandbox,
        "POST",
        &format!("/api/dm/{}", fixture.bot.id),
        &fixture.alice.token,
        Value::Null,
    );
    let room = text(&opened.body["agencyId"]);
    let mut alice = Socket::join(&fixture.sandbox, &fixture.alice.token, &room);
    fixture.webhook.answer(200, json!({ "error": "out of tokens" }), Duration::ZERO);
    fixture.say(&fixture.alice, &room, "hello?");
    alice.wait("message");
    assert_eq!(alice.wait("message")["content"], "out of tokens");
    assert_eq!(fixture.webhook.wait(1)[0].header("x-crustocean-signature"), None);
}

#[test]
fn only_accounts_that_may_prompt_the_agent_reach_it() {
    let fixture = fixture(json!({ "prompt_permission": "whitelist", "prompt_whitelist": ["bob"] }));
    let [bob, carol] = ["bob", "carol"].map(|name| fixture.sandbox.add_user(name).unwrap());
    for who in [&carol, &bob, &fixture.alice] {
        fixture.say(who, &fixture.lobby, "@mybot hi");
    }
    let senders = |count: usize| -> Vec<String> {
        let mut all: Vec<String> = fixture
            .webhook
            .wait(count)
            .iter()
            .map(|posted| text(&posted.json()["message"]["sender_username"]))
            .collect();
        all.sort();
        all
    };
    assert_eq!(senders(2), ["alice", "bob"]);
    fixture.configure(json!({ "prompt_permission": "closed" }));
    for who in [&carol, &bob, &fixture.alice] {
        fixture.say(who, &fixture.lobby, "@mybot hi");
    }
    assert_eq!(senders(3), ["alice", "alice", "bob"]);
    fixture.configure(json!({ "prompt_permission": "open" }));
    fixture.say(&carol, &fixture.lobby, "@mybot hi");
    assert_eq!(senders(4), ["alice", "alice", "bob", "carol"]);
}

#[test]
fn a_hooks_message_triggers_the_agents_it_mentions() {
    let fixture = fixture(Value::Null);
    let room = fixture.sandbox.add_agency("Shop", &fixture.alice.id).unwrap();
    post(
        &fixture.sandbox,
        &format!("/api/agencies/{room}/agents"),
        &fixture.alice.token,
        json!({ "username": "mybot" }),
    );
    let commands = format!("/api/custom-commands/{room}/commands");
    let wanted = json!({ "name": "go", "webhook_url": "http://127.0.0.1:1/" });
    let key = text(&post(&fixture.sandbox, &commands, &fixture.alice.token, wanted)["hookKey"]);
    let speech = json!({ "agencyId": room, "content": "wake up @mybot" });
    let said =
        call_with(&fixture.sandbox, "POST", "/api/hooks/messages", ("x-crustocean-hook-key", &key), speech);
    assert_eq!((said.status, &said.body["sender_username"]), (200, &json!("system")));
    assert_eq!(fixture.webhook.wait(1)[0].json()["message"]["sender_id"], "system");
}

#[test]
fn two_agents_that_answer_each_other_stop() {
    let fixture = fixture(Value::Null);
    let other = fixture.sandbox.add_agent("other", &fixture.alice.id).unwrap();
    let config = json!({ "response_webhook_url": fixture.webhook.url });
    call(
        &fixture.sandbox,
        "PATCH",
        &format!("/api/agents/{}/config", other.id),
        &fixture.alice.token,
        config,
    );
    for _ in 0..100 {
        fixture.webhook.answer(200, json!({ "content": "@mybot @other your turn" }), Duration::ZERO);
    }
    fixture.say(&fixture.alice, &fixture.lobby, "@mybot start");
    assert_eq!(fixture.webhook.wait(20).len(), 20);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(fixture.webhook.count(), 20);
}
