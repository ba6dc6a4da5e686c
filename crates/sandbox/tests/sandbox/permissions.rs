//! Who may do what: owners, admins, moderators, members, strangers, agents.

// Helpers outside of test functions may panic, too.
use crate::common::{Socket, agent_session, call, call_with, get, post, text};
use crustocean_sandbox::{Credentials, Sandbox};
use serde_json::{Value, json};

struct Fixture {
    sandbox: Sandbox,
    room: String,
    /// The owner, an admin, a moderator, a member, and an account that is not a member.
    people: [Credentials; 5],
}

fn fixture() -> Fixture {
    let sandbox = Sandbox::start().unwrap();
    let people = ["olga", "adam", "mona", "mike", "sven"].map(|name| sandbox.add_user(name).unwrap());
    let room = sandbox.add_agency("Fixture", &people[0].id).unwrap();
    for (person, role) in people[1..4].iter().zip(["admin", "moderator", "member"]) {
        post(&sandbox, &format!("/api/agencies/{room}/join"), &person.token, Value::Null);
        sandbox.set_role(&room, &person.id, role).unwrap();
    }
    Fixture { sandbox, room, people }
}

impl Fixture {
    /// The statuses that these five accounts get.
    fn statuses(&self, method: &str, path: &str, body: &Value) -> [u16; 5] {
        self.people.each_ref().map(|who| call(&self.sandbox, method, path, &who.token, body.clone()).status)
    }
}

#[test]
fn the_owner_manages_everything_and_admins_manage_subscriptions() {
    let fixture = fixture();
    let room = &fixture.room;
    let agency = format!("/api/agencies/{room}");
    let commands = format!("/api/custom-commands/{room}/commands");
    let command = json!({ "name": "go", "webhook_url": "http://127.0.0.1:1/" });
    let subscription = json!({ "url": "http://127.0.0.1:1/", "events": ["message.created"] });
    let deploy = json!({ "slug": "h", "code": "handler", "commands": [{ "name": "h" }], "agency_id": room });
    let statuses = |method: &str, path: &str, body: &Value| fixture.statuses(method, path, body);

    let owner_only = [200, 403, 403, 403, 403];
    assert_eq!(statuses("PATCH", &agency, &json!({ "charter": "x" })), owner_only);
    assert_eq!(statuses("POST", &commands, &command), owner_only);
    let id = text(&get(&fixture.sandbox, &commands, &fixture.people[0].token)[0]["id"]);
    assert_eq!(statuses("PATCH", &format!("{commands}/{id}"), &json!({ "description": "x" })), owner_only);
    assert_eq!(statuses("POST", &format!("{commands}/{id}/hook-key"), &Value::Null), owner_only);
    assert_eq!(statuses("DELETE", &format!("{commands}/{id}/hook-key"), &Value::Null), owner_only);

    let subscriptions = format!("/api/webhook-subscriptions/{room}");
    assert_eq!(statuses("POST", &subscriptions, &subscription), [201, 201, 403, 403, 403]);
    assert_eq!(statuses("GET", &subscriptions, &Value::Null), [200, 200, 403, 403, 403]);
    let [owner, admin] = [&fixture.people[0], &fixture.people[1]]
        .map(|who| call(&fixture.sandbox, "POST", "/api/hooks/deploy", &who.token, deploy.clone()).status);
    // The admin may deploy here, but the slug belongs to the owner now.
    assert_eq!((owner, admin), (200, 409));

    let members = [200, 200, 200, 200, 403];
    assert_eq!(statuses("GET", &commands, &Value::Null), members);
    assert_eq!(statuses("POST", &format!("{agency}/invites"), &Value::Null), members);
    let gone = statuses("DELETE", &agency, &Value::Null);
    assert_eq!(gone, [200, 404, 404, 404, 404]);
}

#[test]
fn moderators_kick_and_ban_lower_roles() {
    let fixture = fixture();
    let room = &fixture.room;
    let mut sockets = fixture.people.each_ref().map(|who| Socket::join(&fixture.sandbox, &who.token, room));
    let mut says = |who: usize, command: &str| -> bool {
        let ack = sockets[who].ask(json!({ "agencyId": room, "content": command, "silent": true }));
        ack["ok"].as_bool().unwrap()
    };
    for (who, command, allowed) in [
        (3, "/kick @mona", false),
        (4, "/kick @mike", false),
        (2, "/kick @adam", false),
        (2, "/ban @olga", false),
        (2, "/kick @mona", false),
        (1, "/promote @mike", false),
        (0, "/promote @mike owner", false),
        (0, "/promote @nobody", false),
        (0, "/promote", false),
        (0, "/promote @mike admin", true),
        (0, "/demote @mike", true),
        (2, "/ban @mike", true),
        (1, "/unban @sven", false),
    ] {
        assert_eq!(says(who, command), allowed, "{command} by {who}");
    }
    // A banned account is removed from the room, and cannot join again in any way.
    sockets[3].emit("send-message", json!({ "agencyId": room, "content": "still here?" }));
    sockets[3].wait("error");
    let mike = &fixture.people[3].token;
    let code = post(
        &fixture.sandbox,
        &format!("/api/agencies/{room}/invites"),
        &fixture.people[0].token,
        Value::Null,
    );
    let join =
        || call(&fixture.sandbox, "POST", &format!("/api/agencies/{room}/join"), mike, Value::Null).status;
    let redeem = json!({ "code": code["code"] });
    let redeem =
        || call(&fixture.sandbox, "POST", "/api/agencies/invite/redeem", mike, redeem.clone()).status;
    assert_eq!((join(), redeem()), (403, 403));
    let ack = sockets[0].ask(json!({ "agencyId": room, "content": "/unban @mike", "silent": true }));
    assert_eq!((ack["ok"].as_bool(), redeem()), (Some(true), 200));
}

#[test]
fn nobody_can_manage_the_lobby() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    sandbox.add_user("bob").unwrap();
    let lobby = sandbox.lobby_id();
    let command = json!({ "name": "go", "webhook_url": "http://127.0.0.1:1/" });
    let subscription = json!({ "url": "http://127.0.0.1:1/", "events": ["message.created"] });
    let deploy = json!({ "slug": "h", "code": "handler", "commands": [{ "name": "h" }], "agency_id": lobby });
    for (method, path, body) in [
        ("POST", format!("/api/custom-commands/{lobby}/commands"), command),
        ("POST", format!("/api/webhook-subscriptions/{lobby}"), subscription),
        ("POST", "/api/hooks/deploy".to_owned(), deploy),
        ("PATCH", format!("/api/agencies/{lobby}"), json!({ "charter": "x" })),
        ("DELETE", format!("/api/agencies/{lobby}"), Value::Null),
        ("POST", format!("/api/agencies/{lobby}/leave"), Value::Null),
        ("POST", format!("/api/agencies/{lobby}/skills"), json!({ "skillName": "dice" })),
    ] {
        assert_eq!(call(&sandbox, method, &path, &alice.token, body).status, 403, "{method} {path}");
    }
    let mut socket = Socket::join(&sandbox, &alice.token, &lobby);
    for command in ["/kick @bob", "/hook install x"] {
        assert_eq!(socket.ask(json!({ "agencyId": lobby, "content": command, "silent": true }))["ok"], false);
    }
}

#[test]
fn an_agents_session_cannot_use_endpoints_for_users() {
    let sandbox = Sandbox::start().unwrap();
    let made = call(&sandbox, "POST", "/api/agents/register", "", json!({ "name": "loner" }));
    let session = agent_session(&sandbox, made.body["agent"]["token"].as_str().unwrap());
    let own = text(&made.body["agency"]["id"]);
    let command = json!({ "name": "go", "webhook_url": "http://127.0.0.1:1/" });
    for (method, path, body) in [
        ("GET", "/api/auth/tokens".to_owned(), Value::Null),
        ("POST", "/api/auth/tokens".to_owned(), json!({ "name": "x" })),
        ("DELETE", "/api/auth/tokens/x".to_owned(), Value::Null),
        (
            "POST",
            "/api/auth/change-password".to_owned(),
            json!({ "currentPassword": "12345678", "newPassword": "12345678" }),
        ),
        ("DELETE", "/api/auth/account".to_owned(), Value::Null),
        ("GET", "/api/agents".to_owned(), Value::Null),
        ("POST", "/api/agents".to_owned(), json!({ "name": "child" })),
        ("POST", "/api/agencies".to_owned(), json!({ "name": "Mine" })),
        ("POST", format!("/api/custom-commands/{own}/commands"), command),
        ("GET", format!("/api/webhook-subscriptions/{own}"), Value::Null),
        ("PATCH", "/api/hooks/source".to_owned(), json!({ "webhook_url": "http://127.0.0.1:1/" })),
    ] {
        assert_eq!(call(&sandbox, method, &path, &session, body).status, 403, "{method} {path}");
    }
    for path in ["/api/auth/me", "/api/agencies", "/api/dm", "/api/wallet"] {
        get(&sandbox, path, &session);
    }
    // A browser sends its session in a cookie.
    let cookie = format!("theme=dark; crustocean_token={session}");
    let me = call_with(&sandbox, "GET", "/api/auth/me", ("cookie", &cookie), Value::Null);
    assert_eq!((me.status, &me.body["username"]), (200, &json!("loner")));
}

#[test]
fn agents_cannot_spend_more_than_their_limits() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let bot = sandbox.add_agent("mybot", &alice.id).unwrap();
    let session = agent_session(&sandbox, &bot.token);
    assert_eq!(get(&sandbox, "/api/wallet", &session)["spendingConfig"]["wallet_spend_limit_per_tx"], 10);
    assert_eq!(get(&sandbox, "/api/wallet", &alice.token).get("spendingConfig"), None);
    let limits = json!({ "wallet_spend_limit_per_tx": 2.5, "wallet_spend_limit_daily": "4" });
    let path = format!("/api/agents/{}/config", bot.id);
    assert_eq!(call(&sandbox, "PATCH", &path, &alice.token, limits).status, 200);
    let pay = |token: &str, amount: &str, to: &str| {
        let hash = format!("0x{}", "b2".repeat(32));
        let body = json!({ "txHash": hash, "agencyId": sandbox.lobby_id(), "to": to, "amount": amount });
        call(&sandbox, "POST", "/api/wallet/payment", token, body)
    };
    assert_eq!(pay(&session, "2.500001", "@alice").status, 403);
    assert_eq!(pay(&session, "2.5", "@alice").status, 200);
    // A refused payment does not count.
    assert_eq!(pay(&session, "1.6", "@alice").status, 403);
    assert_eq!(pay(&session, "1.5", "@alice").status, 200);
    assert_eq!(pay(&session, "0.000001", "@alice").status, 403);
    assert_eq!(pay(&alice.token, "1000", "@mybot").status, 200);
    for (amount, to) in [("1,5", "@alice"), ("-1", "@alice"), ("1", "alice"), ("1", "0x12")] {
        assert_eq!(pay(&alice.token, amount, to).status, 400, "{amount} to {to}");
    }
    let bad = json!({ "wallet_spend_limit_daily": "much" });
    assert_eq!(call(&sandbox, "PATCH", &path, &alice.token, bad).status, 400);
}
