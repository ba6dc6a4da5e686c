//! The Lobby, private agencies, invites, history and direct messages.

// Helpers outside of test functions may panic, too.
use crate::common::{Socket, agent_session, call, get, post, text};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

#[test]
fn everyone_is_in_the_lobby_and_nobody_can_change_it() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    sandbox.add_agent("mybot", &alice.id).unwrap();
    let rooms = get(&sandbox, "/api/agencies", &alice.token);
    assert_eq!(rooms.as_array().unwrap().len(), 1);
    let lobby = &rooms[0];
    assert_eq!((&lobby["slug"], &lobby["isMember"]), (&json!("lobby"), &json!(true)));
    assert_eq!(lobby["member_count"], 2);

    let path = format!("/api/agencies/{}", text(&lobby["id"]));
    assert_eq!(call(&sandbox, "PATCH", &path, &alice.token, json!({ "charter": "mine" })).status, 403);
    assert_eq!(call(&sandbox, "DELETE", &path, &alice.token, Value::Null).status, 403);
    let members = get(&sandbox, &format!("{path}/members"), &alice.token);
    assert_eq!((&members[1]["username"], &members[1]["type"]), (&json!("mybot"), &json!("agent")));
}

#[test]
fn a_private_agency_is_joined_by_password_by_invite_or_through_its_owner() {
    let sandbox = Sandbox::start().unwrap();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| sandbox.add_user(name).unwrap());
    let wanted = json!({ "name": "My Team", "isPrivate": true, "password": "sesame" });
    let made = post(&sandbox, "/api/agencies", &alice.token, wanted);
    assert_eq!(made["slug"], "my-team");
    let id = text(&made["id"]);
    let path = format!("/api/agencies/{id}");

    assert_eq!(get(&sandbox, "/api/agencies", &bob.token).as_array().unwrap().len(), 1);
    assert_eq!(call(&sandbox, "GET", &format!("{path}/messages"), &bob.token, Value::Null).status, 403);
    let mut socket = Socket::connect(&sandbox, &bob.token);
    socket.emit("join-agency", json!({ "agencyId": id }));
    assert!(socket.wait("error")["message"].is_string());

    let join = format!("{path}/join");
    assert_eq!(call(&sandbox, "POST", &join, &bob.token, json!({ "password": "no" })).status, 403);
    post(&sandbox, &join, &bob.token, json!({ "password": "sesame" }));
    socket.emit("join-agency", json!({ "agencyId": id }));
    let joined = socket.wait("agency-joined");
    assert_eq!((&joined["agencyId"], joined["members"].as_array().unwrap().len()), (&json!(id), 2));

    let invite = json!({ "maxUses": 1, "expires": "7d" });
    let code = text(&post(&sandbox, &format!("{path}/invites"), &bob.token, invite)["code"]);
    let redeem =
        |token: &str| call(&sandbox, "POST", "/api/agencies/invite/redeem", token, json!({ "code": code }));
    assert_eq!(redeem(&carol.token).body["agencyId"], json!(id));
    assert_eq!(redeem(&sandbox.add_user("dave").unwrap().token).status, 400);

    // An added agent gets an event.
    let bot = sandbox.add_agent("mybot", &carol.id).unwrap();
    let mut agent = Socket::connect(&sandbox, &agent_session(&sandbox, &bot.token));
    post(&sandbox, &format!("{path}/agents"), &alice.token, json!({ "username": "mybot" }));
    let invited = agent.wait("agency-invited");
    assert_eq!((&invited["agencyId"], &invited["agency"]["slug"]), (&json!(id), &json!("my-team")));

    // An account that has left gets no more messages.
    post(&sandbox, &format!("{path}/leave"), &bob.token, Value::Null);
    socket.emit("send-message", json!({ "agencyId": id, "content": "still here?" }));
    socket.wait("error");
}

#[test]
fn history_pages_backwards_without_gaps_or_repeats() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let lobby = sandbox.lobby_id();
    let mut sent: Vec<String> = (0..125)
        .map(|n| {
            let content = if n % 50 == 0 { format!("{n} for @Bob!") } else { format!("{n} for @bob_b") };
            sandbox.say(&lobby, &alice.id, &content, json!({ "n": n })).unwrap()
        })
        .collect();
    sent.reverse();

    let path = format!("/api/agencies/{lobby}/messages");
    let first = get(&sandbox, &path, &alice.token);
    assert_eq!(first.as_array().unwrap().len(), 50);
    assert_eq!(first[0]["id"], json!(sent[0]));
    // Histories carry metadata as text.
    assert_eq!(first[0]["metadata"], "{\"n\":124}");

    // Many of these messages have the same millisecond, so paging by id must not depend on times.
    let mut seen: Vec<String> = Vec::new();
    loop {
        let before = seen.last().map_or(String::new(), |id| format!("&before={id}"));
        let page = get(&sandbox, &format!("{path}?limit=40{before}"), &alice.token);
        let page = page.as_array().unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(|message| text(&message["id"])));
    }
    assert_eq!(seen, sent);

    let oldest = get(&sandbox, &format!("{path}?before={}", seen[124]), &alice.token);
    assert_eq!(oldest, json!([]));
    let none = get(&sandbox, &format!("{path}?before=2020-01-01T00:00:00.000Z"), &alice.token);
    assert_eq!(none, json!([]));
    let all = get(&sandbox, &format!("{path}?limit=1000&before=2999-01-01T00:00:00.000Z"), &alice.token);
    assert_eq!(all.as_array().unwrap().len(), 100);
    let mentions = get(&sandbox, &format!("{path}?mentions=bob"), &alice.token);
    assert_eq!(mentions.as_array().unwrap().len(), 3);
}

#[test]
fn a_direct_conversation_has_two_members() {
    let sandbox = Sandbox::start().unwrap();
    let [alice, carol] = ["alice", "carol"].map(|name| sandbox.add_user(name).unwrap());
    let bot = sandbox.add_agent("mybot", &alice.id).unwrap();
    let session = agent_session(&sandbox, &bot.token);
    let opened = call(&sandbox, "POST", &format!("/api/dm/{}", bot.id), &alice.token, Value::Null);
    assert_eq!(opened.status, 201);
    let room = text(&opened.body["agencyId"]);
    let again = post(&sandbox, &format!("/api/dm/{}", alice.id), &session, Value::Null);
    assert_eq!(again["agencyId"], json!(room));

    let listed = get(&sandbox, "/api/dm", &session);
    assert_eq!(listed[0]["agencyId"], json!(room));
    assert_eq!(listed[0]["participant"]["username"], "alice");
    let mut agent = Socket::join(&sandbox, &session, &room);
    let mut user = Socket::join(&sandbox, &alice.token, &room);
    let mut outsider = Socket::connect(&sandbox, &carol.token);
    outsider.emit("join-agency", json!({ "agencyId": room }));
    outsider.wait("error");

    // Direct conversations have no commands: this is text.
    user.emit("send-message", json!({ "agencyId": room, "content": "/help" }));
    let message = agent.wait("message");
    assert_eq!((&message["content"], &message["dm"]), (&json!("/help"), &json!(true)));
    assert_eq!(user.wait("message"), message);

    let path = format!("/api/dm/{room}");
    assert_eq!(call(&sandbox, "DELETE", &path, &alice.token, Value::Null).status, 200);
    assert_eq!(get(&sandbox, "/api/dm", &alice.token), json!([]));
    agent.emit("send-message", json!({ "agencyId": room, "content": "hello?" }));
    user.wait("message");
    assert_eq!(get(&sandbox, "/api/dm", &alice.token)[0]["agencyId"], json!(room));
    post(&sandbox, &format!("{path}/purge"), &alice.token, Value::Null);
    assert_eq!(get(&sandbox, &format!("{path}/messages"), &session), json!([]));
}
