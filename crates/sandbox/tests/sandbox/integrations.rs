//! Custom commands, hooks, subscriptions, wallets and onboarding without an account.

// Helpers outside of test functions may panic, too.
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::common::{Answer, Socket, agent_session, call, get, post, text};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

/// A webhook that answers one request, and returns the request when its thread is joined.
fn webhook(answer: Value) -> (String, thread::JoinHandle<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(crate::common::PATIENCE)).unwrap();
        let mut seen = String::new();
        loop {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).unwrap();
            seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            let body = seen.split_once("\r\n\r\n").map_or("", |parts| parts.1);
            if let Ok(body) = serde_json::from_str(body) {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{answer}").unwrap();
                return body;
            }
        }
    });
    (url, thread)
}

#[test]
fn a_custom_command_calls_its_webhook_and_its_hook_posts_messages() {
    let sandbox = Sandbox::start().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| sandbox.add_user(name).unwrap());
    let room = sandbox.add_agency("Shop", &alice.id).unwrap();
    post(&sandbox, &format!("/api/agencies/{room}/join"), &bob.token, Value::Null);
    let (url, called) = webhook(json!({ "content": "ETH 3000", "metadata": { "skill": "prices" } }));

    let path = format!("/api/custom-commands/{room}/commands");
    let explore = json!({ "slug": "prices", "at_name": "prices", "creator": "@alice" });
    let wanted = json!({ "name": "Price!", "webhook_url": url, "explore_metadata": explore });
    assert_eq!(call(&sandbox, "POST", &path, &bob.token, wanted.clone()).status, 403);
    let made = post(&sandbox, &path, &alice.token, wanted);
    assert_eq!(made["name"], "price");
    let key = text(&made["hookKey"]);

    let mut user = Socket::join(&sandbox, &bob.token, &room);
    let ack = user.ask(json!({ "agencyId": room, "content": "/price ETH --in EUR --loud", "silent": true }));
    assert_eq!((&ack["content"], &ack["type"]), (&json!("ETH 3000"), &json!("tool_result")));
    let request = called.join().unwrap();
    assert_eq!((&request["command"], &request["positional"]), (&json!("price"), &json!(["ETH"])));
    assert_eq!(request["flags"], json!({ "in": "EUR", "loud": true }));
    assert_eq!((&request["sender"]["username"], &request["creator"]), (&json!("bob"), &json!("@alice")));
    // The webhook has ended: the command fails, and the caller gets an error.
    let ack = user.ask(json!({ "agencyId": room, "content": "/price BTC", "silent": true }));
    assert_eq!(ack["ok"], false, "{ack}");

    let with_key = |method: &str, path: &str, key: &str, body: Value| -> Answer {
        crate::common::call_with(&sandbox, method, path, ("x-crustocean-hook-key", key), body)
    };
    let rooms = with_key("GET", "/api/hooks/agencies", &key, Value::Null).body;
    assert_eq!(rooms[0]["slug"], "shop");
    let said = with_key("POST", "/api/hooks/messages", &key, json!({ "agencyId": room, "content": "sale" }));
    let message = user.wait("message");
    assert_eq!((&message["id"], &message["sender_id"]), (&said.body["id"], &json!("system")));
    let message = format!("/api/hooks/messages/{}", text(&said.body["id"]));
    assert_eq!(with_key("PATCH", &message, &key, json!({ "content": "sold out" })).status, 200);
    assert_eq!(user.wait("message-edited")["content"], "sold out");

    let hook = get(&sandbox, "/api/hooks/by-slug/prices", "");
    assert_eq!((&hook["creator"], &hook["commands"][0]["name"]), (&json!("@alice"), &json!("price")));
    assert_eq!(get(&sandbox, "/api/explore/webhooks", "")["webhooks"][0]["slug"], "prices");
    let rotate = format!("/api/hooks/by-id/{}/rotate-key", text(&hook["id"]));
    let new = text(&post(&sandbox, &rotate, &alice.token, Value::Null)["hookKey"]);
    assert_eq!(with_key("GET", "/api/hooks/agencies", &key, Value::Null).status, 401);
    assert_eq!(with_key("GET", "/api/hooks/agencies", &new, Value::Null).status, 200);
}

#[test]
fn a_native_hook_is_stored_under_its_slug() {
    let sandbox = Sandbox::start().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| sandbox.add_user(name).unwrap());
    let room = sandbox.add_agency("Shop", &alice.id).unwrap();
    let code = "function handler(call) { return { content: 'hi' }; }";
    let wanted = json!({ "slug": "hi", "code": code, "commands": [{ "name": "hi" }], "agency_id": room });
    let made = post(&sandbox, "/api/hooks/deploy", &alice.token, wanted.clone());
    assert_eq!((&made["source_type"], &made["installed_commands"]), (&json!("native"), &json!(["hi"])));
    assert!(made["hook_key"].is_string());
    let again = post(&sandbox, "/api/hooks/deploy", &alice.token, wanted);
    assert_eq!((&again["hook_id"], again.get("hook_key")), (&made["hook_id"], None));
    let stolen = json!({ "slug": "hi", "code": code, "commands": [{ "name": "hi" }] });
    assert_eq!(call(&sandbox, "POST", "/api/hooks/deploy", &bob.token, stolen).status, 409);
    assert_eq!(get(&sandbox, "/api/hooks/by-slug/hi", "")["source_code"], code);
}

#[test]
fn subscriptions_are_managed_by_the_owner() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let room = sandbox.add_agency("Shop", &alice.id).unwrap();
    let path = format!("/api/webhook-subscriptions/{room}");
    assert_eq!(
        get(&sandbox, "/api/webhook-subscriptions/meta/events", "")["events"].as_array().unwrap().len(),
        14
    );
    let wanted = json!({ "url": "http://127.0.0.1:1/x", "events": ["message.created"], "secret": "s3cret" });
    let made = call(&sandbox, "POST", &path, &alice.token, wanted);
    assert_eq!((made.status, &made.body["enabled"]), (201, &json!(true)));
    assert!(!made.body.to_string().contains("s3cret"));
    let bad = json!({ "url": "http://127.0.0.1:1/x", "events": ["nothing"] });
    assert_eq!(call(&sandbox, "POST", &path, &alice.token, bad).status, 400);
    let one = format!("{path}/{}", text(&made.body["id"]));
    assert_eq!(
        call(&sandbox, "PATCH", &one, &alice.token, json!({ "enabled": false })).body["enabled"],
        false
    );
    assert_eq!(call(&sandbox, "DELETE", &one, &alice.token, Value::Null).status, 200);
    assert_eq!(get(&sandbox, &path, &alice.token), json!([]));
}

#[test]
fn a_wallet_is_an_address() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    assert_eq!(get(&sandbox, "/api/wallet", &alice.token), json!({ "hasWallet": false }));
    let address = format!("0x{}", "a1".repeat(20));
    post(&sandbox, "/api/wallet/register", &alice.token, json!({ "address": address }));
    assert_eq!(get(&sandbox, "/api/explore/wallet/alice", "")["address"], json!(address));
    let hash = format!("0x{}", "b2".repeat(32));
    let report = json!({ "txHash": hash, "agencyId": sandbox.lobby_id(), "to": "@bob", "amount": "1.50" });
    let paid = post(&sandbox, "/api/wallet/payment", &alice.token, report);
    assert_eq!((&paid["txHash"], paid["messageId"].is_string()), (&json!(hash), true));
}

#[test]
fn an_agent_can_register_without_an_account() {
    let sandbox = Sandbox::start().unwrap();
    let wanted = json!({ "username": "alice", "password": "password1", "agentName": "First" });
    let made = call(&sandbox, "POST", "/api/bootstrap", "", wanted);
    assert_eq!((made.status, &made.body["agent"]["verified"]), (201, &json!(true)));
    let alice = text(&made.body["pat"]["token"]);
    assert_eq!(get(&sandbox, "/api/agents", &alice)[0]["username"], "first");

    let made = call(&sandbox, "POST", "/api/agents/register", "", json!({ "name": "Second" }));
    assert_eq!((made.status, &made.body["agency"]["slug"]), (201, &json!("second-s-agency")));
    agent_session(&sandbox, made.body["agent"]["token"].as_str().unwrap());
}
