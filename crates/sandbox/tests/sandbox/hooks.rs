//! Hooks: keys, metadata and creators.

// Helpers outside of test functions may panic, too.
use crate::common::{Answer, Socket, call, call_with, get, post, text};
use crustocean_sandbox::{Credentials, Sandbox};
use serde_json::{Value, json};

const URL: &str = "http://127.0.0.1:1/hook";

fn publish(sandbox: &Sandbox, who: &Credentials, room: &str, more: Value) -> Answer {
    let mut wanted = json!({ "name": "price", "webhook_url": URL });
    wanted.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    call(sandbox, "POST", &format!("/api/custom-commands/{room}/commands"), &who.token, wanted)
}

#[test]
fn a_webhook_url_has_one_key_for_all_its_commands() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let rooms = ["One", "Two", "Three"].map(|name| sandbox.add_agency(name, &alice.id).unwrap());
    let made = publish(&sandbox, &alice, &rooms[0], Value::Null).body;
    let key = text(&made["hookKey"]);
    for room in &rooms[..2] {
        assert_eq!(publish(&sandbox, &alice, room, json!({ "name": "more" })).body.get("hookKey"), None);
    }
    let other =
        publish(&sandbox, &alice, &rooms[2], json!({ "webhook_url": "http://127.0.0.1:1/other" })).body;
    assert_ne!(other["hookKey"], json!(key));

    let with_key = |method: &str, path: &str, key: &str, body: Value| {
        call_with(&sandbox, method, path, ("x-crustocean-hook-key", key), body)
    };
    let seen = with_key("GET", "/api/hooks/agencies", &key, Value::Null).body;
    let slugs: Vec<&Value> = seen.as_array().unwrap().iter().map(|agency| &agency["slug"]).collect();
    assert_eq!(slugs, ["one", "two"]);
    let speak = |room: &str| {
        with_key("POST", "/api/hooks/messages", &key, json!({ "agencyId": room, "content": "hi" })).status
    };
    assert_eq!((speak(&rooms[1]), speak(&rooms[2]), speak(&sandbox.lobby_id())), (200, 403, 403));
    for missing in [json!({ "content": "hi" }), json!({ "agencyId": rooms[0] })] {
        assert_eq!(with_key("POST", "/api/hooks/messages", &key, missing).status, 400);
    }
    // A hook can edit only its own messages.
    let said = sandbox.say(&rooms[0], &alice.id, "mine", Value::Null).unwrap();
    let edit = json!({ "content": "stolen" });
    assert_eq!(with_key("PATCH", &format!("/api/hooks/messages/{said}"), &key, edit).status, 404);

    let path = format!("/api/custom-commands/{}/commands/{}/hook-key", rooms[0], text(&made["id"]));
    let new = text(&post(&sandbox, &path, &alice.token, Value::Null)["hookKey"]);
    assert_eq!(with_key("GET", "/api/hooks/agencies", &key, Value::Null).status, 401);
    assert_eq!(with_key("GET", "/api/hooks/agencies", &new, Value::Null).status, 200);
    call(&sandbox, "DELETE", &path, &alice.token, Value::Null);
    assert_eq!(with_key("GET", "/api/hooks/agencies", &new, Value::Null).status, 401);
    assert_eq!(call(&sandbox, "GET", "/api/hooks/agencies", &alice.token, Value::Null).status, 401);
}

#[test]
fn a_creators_changes_of_a_hook_apply_to_its_commands() {
    let sandbox = Sandbox::start().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| sandbox.add_user(name).unwrap());
    let room = sandbox.add_agency("Shop", &alice.id).unwrap();
    let explore =
        json!({ "slug": "prices", "at_name": "prices", "creator": "@alice", "display_name": "Prices" });
    // Some clients send the metadata as text.
    publish(&sandbox, &alice, &room, json!({ "explore_metadata": explore.to_string() }));
    let id = text(&get(&sandbox, "/api/hooks/by-slug/prices", "")["id"]);
    let one = format!("/api/hooks/by-id/{id}");
    let change = json!({ "name": "All prices", "default_invoke_permission": "closed" });
    assert_eq!(call(&sandbox, "PATCH", &one, &bob.token, change.clone()).status, 403);
    assert_eq!(call(&sandbox, "PATCH", &one, "", change.clone()).status, 401);
    let changed = call(&sandbox, "PATCH", &one, &alice.token, change).body;
    assert_eq!(
        (&changed["name"], &changed["default_invoke_permission"]),
        (&json!("All prices"), &json!("closed"))
    );
    let metadata = || {
        let commands = get(&sandbox, &format!("/api/custom-commands/{room}/commands"), &alice.token);
        commands[0]["explore_metadata"].clone()
    };
    assert_eq!(metadata()["display_name"], "All prices");
    assert_eq!(
        (&metadata()["default_invoke_permission"], &metadata()["slug"]),
        (&json!("closed"), &json!("prices"))
    );

    // The legacy endpoint finds the hook by its URL.
    let legacy = |who: &Credentials, body: Value| {
        call(&sandbox, "PATCH", "/api/hooks/metadata", &who.token, body).status
    };
    let change = json!({ "webhook_url": URL, "description": "of things" });
    assert_eq!((legacy(&bob, change.clone()), legacy(&alice, change)), (403, 200));
    assert_eq!(metadata()["description"], "of things");
    let bad = json!({ "webhook_url": URL, "default_invoke_permission": "nobody" });
    assert_eq!((legacy(&alice, bad), legacy(&alice, json!({}))), (400, 400));
    assert_eq!(legacy(&alice, json!({ "webhook_url": "http://127.0.0.1:1/unknown" })), 404);

    let source = json!({ "webhook_url": URL, "source_url": "https://example.com/x", "source_hash": "ab" });
    assert_eq!(call(&sandbox, "PATCH", "/api/hooks/source", &bob.token, source.clone()).status, 403);
    assert_eq!(call(&sandbox, "PATCH", "/api/hooks/source", &alice.token, source).status, 200);
    let read = get(&sandbox, "/api/hooks/source?webhook_url=http%3A%2F%2F127.0.0.1%3A1%2Fhook", "");
    assert_eq!((&read["source_hash"], &read["verified"]), (&json!("ab"), &json!(false)));
    assert_eq!(call(&sandbox, "DELETE", &format!("{one}/revoke-key"), &bob.token, Value::Null).status, 403);
    assert_eq!(call(&sandbox, "DELETE", &format!("{one}/revoke-key"), &alice.token, Value::Null).status, 200);
    assert_eq!(call(&sandbox, "POST", &format!("{one}/rotate-key"), &alice.token, Value::Null).status, 400);
}

#[test]
fn duplicate_slugs_and_names_and_bad_commands_are_refused() {
    let sandbox = Sandbox::start().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| sandbox.add_user(name).unwrap());
    let [shop, pub_] =
        [("Shop", &alice), ("Pub", &bob)].map(|(name, who)| sandbox.add_agency(name, &who.id).unwrap());
    let explore =
        |slug: &str, at_name: &str| json!({ "slug": slug, "at_name": at_name, "creator": "@alice" });
    assert_eq!(
        publish(&sandbox, &alice, &shop, json!({ "explore_metadata": explore("prices", "prices") })).status,
        200
    );
    for (slug, at_name) in [("prices", "other"), ("other", "@prices")] {
        let more =
            json!({ "webhook_url": "http://127.0.0.1:1/2", "explore_metadata": explore(slug, at_name) });
        assert_eq!(publish(&sandbox, &bob, &pub_, more).status, 409, "{slug} {at_name}");
    }
    for (more, named) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": "!?" }), "name"),
        (json!({ "name": "help" }), "built-in"),
        (json!({ "name": "Kick" }), "built-in"),
        (json!({ "webhook_url": "ftp://x" }), "webhook_url"),
        (json!({ "webhook_url": null }), "webhook_url"),
        (json!({ "invoke_permission": "some" }), "invoke_permission"),
        (json!({ "invoke_whitelist": "bob" }), "invoke_whitelist"),
        (json!({ "explore_metadata": 7 }), "explore_metadata"),
        (json!({ "creator": "@nobody" }), "creator"),
    ] {
        let answer = publish(&sandbox, &alice, &shop, more);
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(text(&answer.body["error"]).contains(named), "{}", answer.body);
    }
}

#[test]
fn a_public_hook_is_installed_from_chat_and_updated_by_its_creator() {
    let sandbox = Sandbox::start().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| sandbox.add_user(name).unwrap());
    let code = "function handler(call) { return { content: 'hi' }; }";
    let deploy = |commands: Value| {
        let body = json!({ "slug": "hi", "code": code, "commands": commands });
        post(&sandbox, "/api/hooks/deploy", &alice.token, body)
    };
    deploy(json!([{ "name": "hi" }]));
    let pub_ = sandbox.add_agency("Pub", &bob.id).unwrap();
    let mut socket = Socket::join(&sandbox, &bob.token, &pub_);
    let mut install = |slug: &str| {
        socket.ask(json!({ "agencyId": pub_, "content": format!("/hook install {slug}"), "silent": true }))
    };
    assert_eq!(install("nothing")["ok"], false);
    assert_eq!(install("hi")["content"], "Installed hi: /hi");
    let names = || -> Vec<String> {
        let commands = get(&sandbox, &format!("/api/custom-commands/{pub_}/commands"), &bob.token);
        commands.as_array().unwrap().iter().map(|command| text(&command["name"])).collect()
    };
    assert_eq!(names(), ["hi"]);
    deploy(json!([{ "name": "hi" }, { "name": "bye", "description": "says goodbye" }]));
    assert_eq!(names(), ["hi", "bye"]);
}
