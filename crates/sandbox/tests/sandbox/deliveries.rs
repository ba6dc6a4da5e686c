//! Deliveries to webhook subscriptions.

// Helpers outside of test functions may panic, too.
use std::time::Duration;

use crate::common::receiver::{Posted, Receiver};
use crate::common::{Socket, call, call_with, post, text};
use crustocean_sandbox::{Credentials, Sandbox};
use hmac_check::hmac_sha256;
use serde_json::{Value, json};

/// A separate implementation, so that the test does not trust the server's own.
mod hmac_check {
    use sha2::{Digest, Sha256};

    pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
        let mut padded = key.to_vec();
        padded.resize(64, 0);
        let pad = |with: u8| padded.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
        let inner = Sha256::digest([pad(0x36), message.to_vec()].concat());
        let outer = Sha256::digest([pad(0x5c), inner.to_vec()].concat());
        outer.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

struct Fixture {
    sandbox: Sandbox,
    alice: Credentials,
    bob: Credentials,
    room: String,
}

fn fixture() -> Fixture {
    let sandbox = Sandbox::builder().retry_delay(Duration::from_millis(20)).start().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| sandbox.add_user(name).unwrap());
    let room = sandbox.add_agency("Fixture", &alice.id).unwrap();
    Fixture { sandbox, alice, bob, room }
}

impl Fixture {
    fn path(&self, rest: &str) -> String {
        format!("/api/agencies/{}{rest}", self.room)
    }

    /// Subscribes alice to these events. Returns the subscription's path.
    fn subscribe(&self, receiver: &Receiver, events: &[&str], more: Value) -> String {
        let path = format!("/api/webhook-subscriptions/{}", self.room);
        let mut wanted = json!({ "url": receiver.url, "events": events });
        wanted.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let made = post(&self.sandbox, &path, &self.alice.token, wanted);
        format!("{path}/{}", text(&made["id"]))
    }

    fn say(&self, content: &str) -> String {
        self.sandbox.say(&self.room, &self.alice.id, content, json!({ "skill": "x" })).unwrap()
    }
}

fn names(posted: &[Posted]) -> Vec<String> {
    posted.iter().map(|posted| text(&posted.json()["event"])).collect()
}

#[test]
fn a_message_is_delivered_in_the_documented_envelope_and_signed() {
    let fixture = fixture();
    let receiver = Receiver::start();
    fixture.subscribe(
        &receiver,
        &["message.created", "message.updated", "message.deleted"],
        json!({ "secret": "s3cret" }),
    );
    let id = fixture.say("hello wörld");
    let mut alice = Socket::join(&fixture.sandbox, &fixture.alice.token, &fixture.room);
    alice.emit("edit-message", json!({ "agencyId": fixture.room, "messageId": id, "content": "bye" }));
    alice.wait("message-edited");
    fixture.sandbox.delete_message(&fixture.room, &id).unwrap();

    let posted = receiver.wait(3);
    assert_eq!(names(&posted), ["message.created", "message.updated", "message.deleted"]);
    let first = posted[0].json();
    assert_eq!(first["agencyId"], json!(fixture.room));
    assert!(text(&first["timestamp"]).ends_with('Z'));
    let message = &first["message"];
    assert_eq!((&message["id"], &message["content"]), (&json!(id), &json!("hello wörld")));
    assert_eq!((&message["type"], &message["metadata"]), (&json!("chat"), &json!("{\"skill\":\"x\"}")));
    assert!(message["created_at"].is_string());
    assert_eq!(posted[1].json()["message"]["content"], "bye");
    assert!(posted[0].head.starts_with("POST /in?x=1 HTTP/1."), "{}", posted[0].head);
    for posted in posted {
        assert_eq!(posted.header("content-type").as_deref(), Some("application/json"));
        let expected = hmac_sha256(b"s3cret", posted.body.as_bytes());
        assert_eq!(posted.header("x-crustocean-signature"), Some(expected));
    }
}

#[test]
fn only_subscribed_events_are_delivered_while_the_subscription_is_enabled() {
    let fixture = fixture();
    let [on, off] = [Receiver::start(), Receiver::start()];
    let path = fixture.subscribe(&on, &["message.created"], Value::Null);
    fixture.subscribe(&off, &["message.created"], json!({ "enabled": false }));
    post(&fixture.sandbox, &fixture.path("/join"), &fixture.bob.token, Value::Null);
    fixture.say("one");
    let posted = on.wait(1);
    assert_eq!(
        (names(&posted), posted[0].header("x-crustocean-signature")),
        (vec!["message.created".into()], None)
    );

    let switch = |on: bool| {
        let answer = call(&fixture.sandbox, "PATCH", &path, &fixture.alice.token, json!({ "enabled": on }));
        assert_eq!(answer.status, 200);
    };
    switch(false);
    fixture.say("two");
    switch(true);
    fixture.say("three");
    assert_eq!(on.wait(2)[1].json()["message"]["content"], "three");
    assert_eq!(off.count(), 0);
}

#[test]
fn a_failed_delivery_is_retried_three_times_with_growing_pauses_in_order() {
    let fixture = fixture();
    let [receiver, other] = [Receiver::start(), Receiver::start()];
    fixture.subscribe(&receiver, &["message.created"], Value::Null);
    fixture.subscribe(&other, &["message.created"], Value::Null);
    // The first event fails finally, the second succeeds at the last attempt.
    for status in [500, 500, 404, 503, 500, 500, 500] {
        receiver.answer(status, json!({ "error": "no" }), Duration::ZERO);
    }
    for content in ["one", "two", "three"] {
        fixture.say(content);
    }
    let contents = |posted: &[Posted]| -> Vec<String> {
        posted.iter().map(|posted| text(&posted.json()["message"]["content"])).collect()
    };
    // A failing receiver does not delay others.
    assert_eq!(contents(&other.wait(3)), ["one", "two", "three"]);
    let posted = receiver.wait(9);
    assert_eq!(contents(&posted), ["one", "one", "one", "one", "two", "two", "two", "two", "three"]);
    assert_eq!(posted[0].body, posted[3].body);
    for (attempt, pause) in [(1, 20), (2, 40), (3, 80)] {
        let waited = posted[attempt].at.duration_since(posted[attempt - 1].at);
        assert!(waited >= Duration::from_millis(pause - 1), "attempt {attempt} after {waited:?}");
    }
}

#[test]
fn events_of_members_invites_and_the_agency_are_delivered() {
    let fixture = fixture();
    let receiver = Receiver::start();
    let carol = fixture.sandbox.add_user("carol").unwrap();
    let agent = fixture.sandbox.add_agent("mybot", &fixture.alice.id).unwrap();
    let all = crate::common::get(&fixture.sandbox, "/api/webhook-subscriptions/meta/events", "");
    let all: Vec<&str> =
        all["events"].as_array().unwrap().iter().map(|event| event.as_str().unwrap()).collect();
    fixture.subscribe(&receiver, &all, Value::Null);

    let by = |who: &Credentials, path: &str, body: Value| {
        post(&fixture.sandbox, &fixture.path(path), &who.token, body)
    };
    by(&fixture.bob, "/join", Value::Null);
    // Joining again causes no event.
    by(&fixture.bob, "/join", Value::Null);
    by(&fixture.alice, "/agents", json!({ "agentId": agent.id }));
    let code = text(&by(&fixture.alice, "/invites", json!({ "maxUses": 2 }))["code"]);
    post(&fixture.sandbox, "/api/agencies/invite/redeem", &carol.token, json!({ "code": code }));
    by(&carol, "/leave", Value::Null);
    let patch =
        |body: Value| call(&fixture.sandbox, "PATCH", &fixture.path(""), &fixture.alice.token, body).status;
    assert_eq!((patch(json!({ "charter": "Sell" })), patch(json!({ "charter": "Sell" }))), (200, 200));
    let mut alice = Socket::join(&fixture.sandbox, &fixture.alice.token, &fixture.room);
    for command in ["/promote @bob admin", "/demote @bob", "/kick @mybot", "/ban @bob", "/unban @bob"] {
        let ack = alice.ask(json!({ "agencyId": fixture.room, "content": command, "silent": true }));
        assert_eq!(ack["ok"], true, "{ack}");
    }

    let posted = receiver.wait(12);
    let told: Vec<String> = posted
        .iter()
        .map(|posted| {
            let event = posted.json();
            let member = event["member"]["username"].as_str().unwrap_or_default();
            format!("{} {member}", text(&event["event"]))
        })
        .collect();
    let expected = [
        "member.joined bob",
        "member.joined mybot",
        "invite.created ",
        "invite.redeemed carol",
        "member.joined carol",
        "member.left carol",
        "agency.updated ",
        "member.promoted bob",
        "member.demoted bob",
        "member.kicked mybot",
        "member.banned bob",
        "member.unbanned bob",
    ];
    assert_eq!(told, expected);
    assert!(!posted[2].body.contains(&code));
    assert_eq!(posted[6].json()["agency"]["charter"], "Sell");
    let promoted = posted[7].json();
    assert_eq!(
        (&promoted["member"]["role"], &promoted["actor"]["username"]),
        (&json!("admin"), &json!("alice"))
    );
}

#[test]
fn messages_of_commands_hooks_and_streams_are_delivered() {
    let fixture = fixture();
    let [receiver, hook] = [Receiver::start(), Receiver::start()];
    fixture.subscribe(&receiver, &["message.created", "message.updated"], Value::Null);
    let commands = format!("/api/custom-commands/{}/commands", fixture.room);
    let made = post(
        &fixture.sandbox,
        &commands,
        &fixture.alice.token,
        json!({ "name": "price", "webhook_url": hook.url }),
    );
    let key = text(&made["hookKey"]);
    hook.answer(200, json!({ "content": "ETH 3000" }), Duration::ZERO);
    let mut alice = Socket::join(&fixture.sandbox, &fixture.alice.token, &fixture.room);
    let shown = alice.ask(json!({ "agencyId": fixture.room, "content": "/price" }));
    // Silent commands and the server's own messages cause no event.
    hook.answer(200, json!({ "content": "secret" }), Duration::ZERO);
    alice.ask(json!({ "agencyId": fixture.room, "content": "/price", "silent": true }));
    alice.ask(json!({ "agencyId": fixture.room, "content": "/who" }));
    let with_key = |method: &str, path: &str, body: Value| {
        call_with(&fixture.sandbox, method, path, ("x-crustocean-hook-key", &key), body).body
    };
    let said =
        with_key("POST", "/api/hooks/messages", json!({ "agencyId": fixture.room, "content": "sale" }));
    with_key("PATCH", &format!("/api/hooks/messages/{}", text(&said["id"])), json!({ "content": "sold" }));
    let stream = json!({ "runId": "r", "agencyId": fixture.room, "messageId": "m-1", "content": "streamed", "done": true });
    alice.emit("agent-run-stream", stream);

    let posted = receiver.wait(4);
    let told: Vec<String> = posted
        .iter()
        .map(|posted| {
            let event = posted.json();
            let message = &event["message"];
            format!("{} {} {}", text(&event["event"]), text(&message["type"]), text(&message["content"]))
        })
        .collect();
    let expected = [
        "message.created tool_result ETH 3000",
        "message.created tool_result sale",
        "message.updated tool_result sold",
        "message.created chat streamed",
    ];
    assert_eq!(told, expected);
    assert_eq!(posted[0].json()["message"]["id"], shown["messageId"]);
    assert_eq!(posted[3].json()["message"]["id"], "m-1");
}
