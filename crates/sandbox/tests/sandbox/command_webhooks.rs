//! Custom commands: who may call them, what the webhook says, and how the room shows it.

// Helpers outside of test functions may panic, too.
use std::time::{Duration, Instant};

use crate::common::receiver::Receiver;
use crate::common::{Socket, agent_session, call, post, text};
use crustocean_sandbox::{Builder, Credentials, Sandbox};
use serde_json::{Value, json};

struct Fixture {
    sandbox: Sandbox,
    alice: Credentials,
    bob: Credentials,
    room: String,
    hook: Receiver,
}

/// A room of alice, with bob as a member and a command `/price`.
fn fixture(builder: Builder, command: Value) -> Fixture {
    let sandbox = builder.start().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| sandbox.add_user(name).unwrap());
    let room = sandbox.add_agency("Fixture", &alice.id).unwrap();
    post(&sandbox, &format!("/api/agencies/{room}/join"), &bob.token, Value::Null);
    let hook = Receiver::start();
    let mut wanted = json!({ "name": "price", "webhook_url": hook.url });
    wanted.as_object_mut().unwrap().extend(command.as_object().cloned().unwrap_or_default());
    post(&sandbox, &format!("/api/custom-commands/{room}/commands"), &alice.token, wanted);
    Fixture { sandbox, alice, bob, room, hook }
}

impl Fixture {
    fn join(&self, who: &Credentials) -> Socket {
        Socket::join(&self.sandbox, &who.token, &self.room)
    }

    fn payload(&self, content: &str, silent: bool) -> Value {
        json!({ "agencyId": self.room, "content": content, "silent": silent })
    }
}

#[test]
fn a_webhooks_answer_sets_the_text_and_the_sender() {
    let fixture = fixture(Sandbox::builder(), Value::Null);
    let (mut alice, mut bob) = (fixture.join(&fixture.alice), fixture.join(&fixture.bob));
    let said = json!({
        "content": "ETH 3000", "type": "chat", "metadata": { "skill": "prices" },
        "sender_username": "ticker", "sender_display_name": "Ticker",
    });
    fixture.hook.answer(200, said, Duration::ZERO);
    let ack = alice.ask(fixture.payload("/price ETH", false));
    assert_eq!(
        (&ack["ok"], &ack["content"], &ack["type"]),
        (&json!(true), &json!("ETH 3000"), &json!("chat"))
    );
    let message = bob.wait("message");
    assert_eq!(message["id"], ack["messageId"]);
    assert_eq!((&message["sender_id"], &message["sender_username"]), (&json!("system"), &json!("ticker")));
    assert_eq!((&message["sender_display_name"], &message["type"]), (&json!("Ticker"), &json!("chat")));
    assert_eq!(message["metadata"], json!({ "skill": "prices", "webhook": true }));

    // The documented defaults. An unknown type becomes the default type.
    for answer in [json!({ "content": "plain" }), json!({ "content": "plain", "type": "shout" })] {
        fixture.hook.answer(200, answer, Duration::ZERO);
        alice.ask(fixture.payload("/price", false));
        let message = bob.wait("message");
        assert_eq!(
            (&message["type"], &message["sender_username"]),
            (&json!("tool_result"), &json!("system"))
        );
    }
    assert!(fixture.sandbox.messages(&fixture.room).iter().all(|message| !message.content.starts_with('/')));
}

#[test]
fn only_the_caller_sees_an_ephemeral_answer() {
    let fixture = fixture(Sandbox::builder(), Value::Null);
    let (mut alice, mut bob) = (fixture.join(&fixture.alice), fixture.join(&fixture.bob));
    let answers = [
        (200, json!({ "content": "psst", "ephemeral": true }), true),
        (200, json!({ "content": "psst", "broadcast": false }), true),
        (500, json!({ "error": "psst" }), false),
        (500, json!({ "content": "psst" }), false),
    ];
    for (status, answer, ok) in answers {
        fixture.hook.answer(status, answer, Duration::ZERO);
        let ack = alice.ask(fixture.payload("/price", false));
        assert_eq!(
            (&ack["ok"], &ack["content"], &ack["ephemeral"]),
            (&json!(ok), &json!("psst"), &json!(true))
        );
    }
    // Invalid answers.
    for (status, answer) in [(200, json!({})), (200, json!("text")), (404, Value::Null)] {
        fixture.hook.answer(status, answer, Duration::ZERO);
        let ack = alice.ask(fixture.payload("/price", true));
        assert_eq!((&ack["ok"], ack["content"].is_string()), (&json!(false), true), "{ack}");
    }
    fixture.sandbox.say(&fixture.room, &fixture.alice.id, "the end", Value::Null).unwrap();
    assert_eq!(bob.wait("message")["content"], "the end");
    assert_eq!(fixture.sandbox.messages(&fixture.room).len(), 1);
}

#[test]
fn a_webhook_that_takes_too_long_fails_without_blocking_others() {
    let fixture = fixture(Sandbox::builder().webhook_timeout(Duration::from_secs(3)), Value::Null);
    let (mut alice, mut bob) = (fixture.join(&fixture.alice), fixture.join(&fixture.bob));
    fixture.hook.answer(200, json!({ "content": "late" }), Duration::from_secs(8));
    let start = Instant::now();
    bob.emit("send-message", fixture.payload("/price", true));
    fixture.hook.wait(1);
    assert_eq!(alice.ask(fixture.payload("/echo meanwhile", true))["content"], "meanwhile");
    assert!(start.elapsed() < Duration::from_secs(3));
    let ack = alice.ask(fixture.payload("/who", true));
    assert_eq!(ack["ok"], true);

    fixture.hook.answer(200, json!({ "content": "late" }), Duration::from_secs(8));
    let start = Instant::now();
    let ack = alice.ask(fixture.payload("/price", true));
    assert_eq!(ack["ok"], false, "{ack}");
    assert!((3_000..7_500).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[test]
fn slow_hooks_answer_with_a_placeholder_first() {
    let fixture = fixture(Sandbox::builder(), Value::Null);
    let (mut alice, mut bob) = (fixture.join(&fixture.alice), fixture.join(&fixture.bob));
    fixture.sandbox.slow_hooks(Duration::from_millis(150));
    for (silent, status) in [(true, 200), (false, 200), (true, 500)] {
        fixture.hook.answer(status, json!({ "content": "ETH 3000" }), Duration::ZERO);
        let start = Instant::now();
        let ack = alice.ask(fixture.payload("/price", silent));
        assert!(text(&ack["content"]).starts_with("[spinner"), "{ack}");
        let edit = alice.wait("message-edited");
        assert!(start.elapsed() >= Duration::from_millis(150));
        assert_eq!((&edit["messageId"], &edit["content"]), (&ack["messageId"], &json!("ETH 3000")));
        if !silent {
            assert_eq!(bob.wait("message")["content"], ack["content"]);
            assert_eq!(bob.wait("message-edited")["content"], "ETH 3000");
        }
    }
    fixture.sandbox.slow_hooks(Duration::ZERO);
    fixture.hook.answer(200, json!({ "content": "fast" }), Duration::ZERO);
    assert_eq!(alice.ask(fixture.payload("/price", true))["content"], "fast");
}

#[test]
fn only_accounts_that_may_invoke_a_command_reach_its_webhook() {
    let whitelist = json!({ "invoke_permission": "whitelist", "invoke_whitelist": ["@mybot"] });
    let fixture = fixture(Sandbox::builder(), whitelist);
    let agent = fixture.sandbox.add_agent("mybot", &fixture.alice.id).unwrap();
    let agents = format!("/api/agencies/{}/agents", fixture.room);
    post(&fixture.sandbox, &agents, &fixture.alice.token, json!({ "agentId": agent.id }));
    let session = agent_session(&fixture.sandbox, &agent.token);
    let mut sockets = [
        fixture.join(&fixture.alice),
        fixture.join(&fixture.bob),
        Socket::join(&fixture.sandbox, &session, &fixture.room),
    ];
    let commands = format!("/api/custom-commands/{}/commands", fixture.room);
    let id = text(&crate::common::get(&fixture.sandbox, &commands, &fixture.bob.token)[0]["id"]);
    for (permission, expected) in
        [("whitelist", [true, false, true]), ("closed", [true, false, false]), ("open", [true, true, true])]
    {
        let change = json!({ "invoke_permission": permission });
        let path = format!("{commands}/{id}");
        assert_eq!(call(&fixture.sandbox, "PATCH", &path, &fixture.alice.token, change).status, 200);
        for (socket, expected) in sockets.iter_mut().zip(expected) {
            let before = fixture.hook.count();
            fixture.hook.answer(200, json!({ "content": "yes" }), Duration::ZERO);
            let ack = socket.ask(fixture.payload("/price", true));
            assert_eq!(ack["ok"], json!(expected), "{permission}: {ack}");
            assert_eq!(fixture.hook.count() - before, usize::from(expected));
            if !expected {
                fixture.hook.forget_answers();
            }
        }
    }
}

#[test]
fn a_command_can_be_called_by_its_hooks_slug_until_the_hook_is_disabled() {
    let explore =
        |slug: &str| json!({ "explore_metadata": { "slug": slug, "at_name": slug, "creator": "@alice" } });
    let fixture = fixture(Sandbox::builder(), explore("one"));
    let second = Receiver::start();
    let mut wanted = explore("two");
    wanted["name"] = json!("price");
    wanted["webhook_url"] = json!(second.url);
    let commands = format!("/api/custom-commands/{}/commands", fixture.room);
    post(&fixture.sandbox, &commands, &fixture.alice.token, wanted);
    second.answer(200, json!({ "content": "from two" }), Duration::ZERO);
    let mut alice = fixture.join(&fixture.alice);
    let ack = alice.ask(fixture.payload("/price@two x", true));
    assert_eq!((&ack["content"], &ack["command"]), (&json!("from two"), &json!("price")));
    assert_eq!(second.wait(1)[0].json()["hook_target"], "two");

    let hook = crate::common::get(&fixture.sandbox, "/api/hooks/by-slug/two", "");
    let path = format!("/api/hooks/by-id/{}", text(&hook["id"]));
    assert_eq!(
        call(&fixture.sandbox, "PATCH", &path, &fixture.alice.token, json!({ "enabled": false })).status,
        200
    );
    assert_eq!(alice.ask(fixture.payload("/price@two x", true))["ok"], false);
    let listed = crate::common::get(&fixture.sandbox, "/api/explore/webhooks", "");
    assert_eq!(listed["webhooks"].as_array().unwrap().len(), 1);
}
