//! The lifetimes of the three kinds of tokens.

// Helpers outside of test functions may panic, too.
use std::time::Duration;

use crate::common::{Socket, agent_session, call, get, post, text};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

#[test]
fn personal_access_tokens_are_shown_once_and_can_be_revoked() {
    let sandbox = Sandbox::start().unwrap();
    let user = json!({ "username": "alice", "password": "password1" });
    let session = text(&post(&sandbox, "/api/auth/register", "", user)["token"]);

    let wanted = json!({ "name": "ci", "expiresIn": "90d" });
    let made = call(&sandbox, "POST", "/api/auth/tokens", &session, wanted);
    assert_eq!(made.status, 201);
    let token = text(&made.body["token"]);
    assert!(token.starts_with("cru_") && token.len() == 52, "{token}");

    let list = get(&sandbox, "/api/auth/tokens", &token);
    assert_eq!(list[0]["prefix"], token[..8]);
    assert!(list[0]["last_used_at"].is_string() && list[0]["expires_at"].is_string());
    assert!(!list.to_string().contains(&token));

    for _ in 1..10 {
        post(&sandbox, "/api/auth/tokens", &token, json!({ "name": "more" }));
    }
    let eleventh = call(&sandbox, "POST", "/api/auth/tokens", &token, json!({ "name": "more" }));
    assert_eq!(eleventh.status, 400);

    let path = format!("/api/auth/tokens/{}", text(&made.body["id"]));
    assert_eq!(call(&sandbox, "DELETE", &path, &session, Value::Null).status, 200);
    assert_eq!(call(&sandbox, "GET", "/api/auth/me", &token, Value::Null).status, 401);
    assert_eq!(call(&sandbox, "GET", "/api/auth/me", &session, Value::Null).status, 200);
    assert_eq!(call(&sandbox, "GET", "/api/auth/me", "", Value::Null).status, 401);
}

#[test]
fn bad_registrations_are_refused_with_a_message() {
    let sandbox = Sandbox::start().unwrap();
    for (username, password) in [("a", "password1"), ("no spaces", "password1"), ("alice", "short")] {
        let body = json!({ "username": username, "password": password });
        let answer = call(&sandbox, "POST", "/api/auth/register", "", body);
        assert_eq!(answer.status, 400);
        assert!(answer.body["error"].is_string(), "{}", answer.body);
    }
    let body = json!({ "username": "alice", "password": "password1" });
    post(&sandbox, "/api/auth/register", "", body);
    let again = json!({ "username": "ALICE", "password": "password1" });
    assert_eq!(call(&sandbox, "POST", "/api/auth/register", "", again).status, 409);
    let wrong = json!({ "username": "alice", "password": "password2" });
    assert_eq!(call(&sandbox, "POST", "/api/auth/login", "", wrong).status, 401);
}

#[test]
fn an_agent_can_log_in_only_after_its_owner_has_verified_it() {
    let sandbox = Sandbox::start().unwrap();
    let owner = sandbox.add_user("alice").unwrap().token;
    let stranger = sandbox.add_user("mallory").unwrap().token;
    let made = post(&sandbox, "/api/agents", &owner, json!({ "name": "mybot", "role": "Assistant" }));
    let (id, token) = (text(&made["agent"]["id"]), text(&made["agentToken"]));
    assert_eq!(made["agent"]["verified"], false);

    let exchange = json!({ "agentToken": token });
    let early = call(&sandbox, "POST", "/api/auth/agent", "", exchange.clone());
    assert_eq!(early.status, 403, "{}", early.body);
    let verify = format!("/api/agents/{id}/verify");
    assert_eq!(call(&sandbox, "POST", &verify, &stranger, Value::Null).status, 403);
    post(&sandbox, &verify, &owner, Value::Null);

    let session = post(&sandbox, "/api/auth/agent", "", exchange);
    assert_eq!(session["user"]["type"], "agent");
    let session = text(&session["token"]);
    assert_eq!(get(&sandbox, "/api/auth/me", &session)["username"], "mybot");
    let tokens = call(&sandbox, "POST", "/api/auth/tokens", &session, json!({ "name": "x" }));
    assert_eq!(tokens.status, 403);
    let unknown = call(&sandbox, "POST", "/api/auth/agent", "", json!({ "agentToken": "sk_no" }));
    assert_eq!(unknown.status, 401);

    let heir = json!({ "newOwnerUsername": "mallory" });
    let transferred = post(&sandbox, &format!("/api/agents/{id}/transfer"), &owner, heir);
    assert_eq!(transferred["newOwner"]["username"], "mallory");
    assert_eq!(call(&sandbox, "POST", &verify, &owner, Value::Null).status, 403);
    assert_eq!(call(&sandbox, "DELETE", &format!("/api/agents/{id}"), &stranger, Value::Null).status, 200);
    assert_eq!(call(&sandbox, "GET", "/api/auth/me", &session, Value::Null).status, 401);
}

#[test]
fn a_session_expires_after_its_lifetime() {
    let lifetime = Duration::from_millis(300);
    let sandbox = Sandbox::builder().session_ttl(lifetime).start().unwrap();
    let owner = sandbox.add_user("alice").unwrap();
    let bot = sandbox.add_agent("mybot", &owner.id).unwrap();
    let session = agent_session(&sandbox, &bot.token);
    std::thread::sleep(lifetime);
    assert_eq!(call(&sandbox, "GET", "/api/auth/me", &session, Value::Null).status, 401);
}

#[test]
fn expired_tokens_are_refused_over_http_and_on_connect() {
    let sandbox = Sandbox::start().unwrap();
    let owner = sandbox.add_user("alice").unwrap();
    let bot = sandbox.add_agent("mybot", &owner.id).unwrap();
    let session = agent_session(&sandbox, &bot.token);
    Socket::connect(&sandbox, &session);
    sandbox.expire_sessions();
    assert_eq!(call(&sandbox, "GET", "/api/auth/me", &session, Value::Null).status, 401);
    let refusal = Socket::open(&sandbox, &session).packet().unwrap();
    assert!(refusal.starts_with("44{\"message\":"), "{refusal}");

    Socket::connect(&sandbox, &owner.token);
    sandbox.expire_personal_access_tokens();
    assert_eq!(call(&sandbox, "GET", "/api/auth/me", &owner.token, Value::Null).status, 401);
    assert_eq!(sandbox.handshakes().len(), 3);
    assert_eq!(sandbox.handshakes()[0]["token"].as_str().map(str::len), Some(64));
}
