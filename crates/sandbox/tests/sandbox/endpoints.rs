//! Every endpoint of the reference's index exists and requires the credential that the index names.

// Helpers outside of test functions may panic, too.
use crate::common::{call, call_with, get};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

/// The credential: `-` none, `U` a user's token, `A` a user's token or an agent's session, `H` a hook key.
const INDEX: &str = "
- POST /api/auth/register
- POST /api/auth/login
- POST /api/auth/agent
A GET /api/auth/me
A PATCH /api/auth/me
U POST /api/auth/logout
U POST /api/auth/change-password
U DELETE /api/auth/account
U POST /api/auth/tokens
U GET /api/auth/tokens
U DELETE /api/auth/tokens/x
- POST /api/bootstrap
- POST /api/agents/register
- GET /api/agents/claim/x
U POST /api/agents/claim
- GET /api/agents/claim/verify/x
U POST /api/agents
U GET /api/agents
U POST /api/agents/x/verify
A GET /api/agents/x/config
U PATCH /api/agents/x/config
U POST /api/agents/x/transfer
U DELETE /api/agents/x
A GET /api/agencies
U POST /api/agencies
U PATCH /api/agencies/x
U DELETE /api/agencies/x
U GET /api/agencies/lookup/x
U POST /api/agencies/x/join
U POST /api/agencies/x/leave
U GET /api/agencies/x/members
A GET /api/agencies/x/messages
U POST /api/agencies/x/invites
U POST /api/agencies/invite/redeem
U POST /api/agencies/x/agents
U GET /api/agencies/x/skills
U POST /api/agencies/x/skills
A GET /api/agencies/x/runs
A GET /api/runs/x
A GET /api/dm
A POST /api/dm/x
A GET /api/dm/x/messages
A DELETE /api/dm/x
A POST /api/dm/x/purge
- GET /api/users/x
U POST /api/users/x/follow
U DELETE /api/users/x/follow
- GET /api/explore/agencies
- GET /api/explore/agents
- GET /api/explore/users
- GET /api/explore/webhooks
- GET /api/explore/wallet/x
- GET /api/explore/capabilities
- GET /api/commands
U GET /api/custom-commands/x/commands
U POST /api/custom-commands/x/commands
U PATCH /api/custom-commands/x/commands/y
U DELETE /api/custom-commands/x/commands/y
U POST /api/custom-commands/x/commands/y/hook-key
U DELETE /api/custom-commands/x/commands/y/hook-key
H GET /api/hooks/agencies
H GET /api/hooks/agencies/x/members
H POST /api/hooks/messages
H PATCH /api/hooks/messages/x
- GET /api/hooks/by-slug/x
- GET /api/hooks/by-id/x
U PATCH /api/hooks/by-id/x
U POST /api/hooks/by-id/x/rotate-key
U DELETE /api/hooks/by-id/x/revoke-key
- GET /api/hooks/source?webhook_url=x
U PATCH /api/hooks/source
U PATCH /api/hooks/metadata
A POST /api/hooks/deploy
- GET /api/webhook-subscriptions/meta/events
U GET /api/webhook-subscriptions/x
U POST /api/webhook-subscriptions/x
U PATCH /api/webhook-subscriptions/x/y
U DELETE /api/webhook-subscriptions/x/y
A GET /api/wallet
A POST /api/wallet/register
A DELETE /api/wallet/register
A POST /api/wallet/payment
- GET /metrics
";

#[test]
fn every_endpoint_of_the_index_exists_and_checks_its_credential() {
    let sandbox = Sandbox::start().unwrap();
    let nowhere = call(&sandbox, "GET", "/api/nowhere", "", Value::Null);
    assert_eq!((nowhere.status, &nowhere.body), (404, &json!({ "error": "Not found" })));
    let rows: Vec<Vec<&str>> = INDEX.trim().lines().map(|row| row.split(' ').collect()).collect();
    assert_eq!(rows.len(), 83);
    for row in rows {
        let [credential, method, path] = row[..] else { panic!("{row:?}") };
        let bare = call(&sandbox, method, path, "", Value::Null);
        assert_ne!(bare.body, nowhere.body, "{method} {path}");
        assert!(bare.status < 500, "{method} {path}: {}", bare.status);
        assert_eq!(bare.status == 401, credential != "-", "{method} {path}: {}", bare.status);
        if bare.status >= 400 {
            assert!(bare.body["error"].is_string(), "{method} {path}: {}", bare.body);
        }
        let wrong = match credential {
            "-" => continue,
            "H" => ("x-crustocean-hook-key", "00"),
            _ => ("authorization", "Bearer cru_00"),
        };
        assert_eq!(call_with(&sandbox, method, path, wrong, Value::Null).status, 401, "{method} {path}");
        // With the right credential the request may only fail for another reason.
        if credential != "H" {
            let user = format!("u{}", sandbox.requests().len());
            let token = sandbox.add_user(&user).unwrap().token;
            let answer = call(&sandbox, method, path, &token, Value::Null);
            assert!(![401, 405].contains(&answer.status) && answer.status < 500, "{method} {path}");
        }
    }
}

#[test]
fn bodies_without_an_object_or_a_required_field_get_400() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let room = sandbox.add_agency("Shop", &alice.id).unwrap();
    let bot = sandbox.add_agent("mybot", &alice.id).unwrap();
    for (path, field) in [
        ("/api/auth/register", "username"),
        ("/api/auth/login", "username"),
        ("/api/auth/agent", "agentToken"),
        ("/api/auth/change-password", "currentPassword"),
        ("/api/auth/tokens", "name"),
        ("/api/bootstrap", "username"),
        ("/api/agents/register", "name"),
        ("/api/agents/claim", "claimCode"),
        ("/api/agents", "name"),
        (&format!("/api/agents/{}/transfer", bot.id), "newOwner"),
        ("/api/agencies", "name"),
        ("/api/agencies/invite/redeem", "code"),
        (&format!("/api/agencies/{room}/agents"), "agentId"),
        (&format!("/api/agencies/{room}/skills"), "skillName"),
        (&format!("/api/custom-commands/{room}/commands"), "name"),
        ("/api/hooks/deploy", "slug"),
        (&format!("/api/webhook-subscriptions/{room}"), "url"),
        ("/api/wallet/register", "address"),
        ("/api/wallet/payment", "txHash"),
    ] {
        let answer = call(&sandbox, "POST", path, &alice.token, json!({}));
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        assert!(answer.body["error"].as_str().unwrap().contains(field), "{path}: {}", answer.body);
        assert_eq!(call(&sandbox, "POST", path, &alice.token, json!([1])).status, 400, "{path}");
    }
    for uses in [json!(0), json!(-1), json!("many")] {
        let path = format!("/api/agencies/{room}/invites");
        assert_eq!(call(&sandbox, "POST", &path, &alice.token, json!({ "maxUses": uses })).status, 400);
    }
    assert!(get(&sandbox, "/api/agencies", &alice.token).is_array());
}
