//! Contract: hooks, called by their creator and by the hook itself.

use crate::common::Response;
use crate::rest_support::Api;
use crustocean::{AgencyId, ErrorKind, HookId, model::InvokePermission};
use serde_json::json;

const HOOK: &str = r#"{"id":"h-1","webhook_url":"https://w","name":"Dice","slug":"dice","at_name":"dice",
    "description":"d","creator":"@alice","default_invoke_permission":"open","enabled":true,"source_url":"https://s",
    "source_hash":"00","verified":false,"schema":{"x":1},"commands":[{"name":"roll","description":"Rolls"}],
    "created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-02T00:00:00Z"}"#;

fn id() -> HookId {
    "h-1".into()
}

#[test]
fn looking_at_hooks() {
    let api = Api::new();
    let hook = api.sends("GET /api/hooks/by-id/h-1", "", HOOK, |client| client.hooks().by_id(&id()));
    assert_eq!((hook.id.unwrap(), hook.slug.as_deref()), (id(), Some("dice")));
    assert_eq!(hook.default_invoke_permission, Some(InvokePermission::Open));
    assert_eq!((hook.enabled, hook.verified), (Some(true), Some(false)));
    assert!(hook.created_at < hook.updated_at && hook.source_code.is_none());
    let native = r#"{"hook":{"hookId":"h-1","atName":"dice","source_code":"function handler() {}","commands":["roll"]}}"#;
    let hook =
        api.sends("GET /api/hooks/by-slug/my%20dice", "", native, |client| client.hooks().by_slug("my dice"));
    assert_eq!((hook.id.unwrap(), hook.at_name.as_deref()), (id(), Some("dice")));
    assert!(hook.source_code.is_some() && hook.commands[0].name == "roll");
}

#[test]
fn managing_a_hook() {
    let api = Api::new();
    let body = r#"{"default_invoke_permission":"closed","description":"d","enabled":false,"name":"Dice"}"#;
    api.sends("PATCH /api/hooks/by-id/h-1", body, HOOK, |client| {
        let update = client.hooks().update(&id()).name("Dice").description("d");
        update.default_invoke_permission(InvokePermission::Closed).enabled(false).send()
    });
    for answer in [r#"{"hookKey":"6b657932"}"#, r#"{"hook_key":"6b657932","ok":true}"#] {
        let key = api.sends("POST /api/hooks/by-id/h-1/rotate-key", "", answer, |client| {
            client.hooks().rotate_key(&id())
        });
        assert_eq!(key.expose(), "6b657932");
    }
    api.sends("DELETE /api/hooks/by-id/h-1/revoke-key", "", "", |client| {
        client.hooks().revoke_key_for_good(&id())
    });
    api.sends("PATCH /api/hooks/metadata", r#"{"name":"x"}"#, "", |client| {
        client.hooks().update_metadata(json!({"name": "x"}).as_object().unwrap())
    });
}

#[test]
fn sources() {
    let api = Api::new();
    let answer = r#"{"webhook_url":"https://w/?a=1","source_url":null,"source_hash":"00","verified":true,"schema":null}"#;
    let source =
        api.sends("GET /api/hooks/source?webhook_url=https%3A%2F%2Fw%2F%3Fa%3D1", "", answer, |client| {
            client.hooks().source("https://w/?a=1")
        });
    assert_eq!((source.source_url, source.source_hash.as_deref(), source.verified), (None, Some("00"), true));
    let body = r#"{"schema":{"x":1},"source_hash":"00","source_url":"https://s","webhook_url":"https://w"}"#;
    let other = r#"{"webhookUrl":"https://w","sourceUrl":"https://s","sourceHash":"00","schema":{"x":1}}"#;
    let source = api.sends("PATCH /api/hooks/source", body, other, |client| {
        let update = client.hooks().update_source("https://w").source_url("https://s");
        update.source_hash("00").schema(json!({"x": 1})).send()
    });
    assert_eq!((source.source_url.as_deref(), source.schema), (Some("https://s"), Some(json!({"x": 1}))));
}

#[test]
fn deploying() {
    let api = Api::new();
    let code = "function handler() { return {content: \"é\"} }";
    let answer = r#"{"hook_id":"h-1","slug":"dice","source_type":"native","source_hash":"00","verified":true,
        "commands":["roll"],"hook_key":"6b657932"}"#;
    let body = r#"{"code":"function handler() { return {content: \"é\"} }","commands":[{"description":"Rolls","name":"roll"}],"slug":"dice"}"#;
    let hook = api.sends("POST /api/hooks/deploy", body, answer, |client| {
        client.hooks().deploy("dice", code).command("roll", "Rolls").send()
    });
    assert_eq!((hook.id.as_str(), hook.hook_key.as_ref().unwrap().expose()), ("h-1", "6b657932"));
    assert_eq!((hook.commands.as_slice(), hook.verified), (["roll".to_owned()].as_slice(), true));
    assert!(!format!("{hook:?}").contains("6b657932"));
    let body = concat!(
        r#"{"agency_id":"ag-1","at_name":"dice","avatar_url":"https://a","code":"x","commands":["#,
        r#"{"description":"Rolls","name":"roll"},{"description":"Flips","name":"flip"}],"#,
        r#""description":"d","name":"Dice","slug":"dice"}"#
    );
    let again = r#"{"hook_id":"h-1","slug":"dice","commands":["roll","flip"],"installed_in":"ag-1","installed_commands":["roll"]}"#;
    let hook = api.sends("POST /api/hooks/deploy", body, again, |client| {
        let deploy = client.hooks().deploy("dice", "x").command("roll", "Rolls").command("flip", "Flips");
        let deploy = deploy.name("Dice").description("d").install_in(&"ag-1".into());
        deploy.avatar_url("https://a").at_name("@dice").send()
    });
    assert_eq!((hook.hook_key.is_none(), hook.installed_in.unwrap().as_str()), (true, "ag-1"));
    assert_eq!(hook.installed_commands, ["roll"]);

    api.refuses("lowercase", |client| client.hooks().deploy("Dice", "x").command("roll", "").send());
    api.refuses("64 KB", |client| {
        client.hooks().deploy("dice", "x".repeat(65_537)).command("roll", "").send()
    });
    api.refuses("at least one command", |client| client.hooks().deploy("dice", "x").send());
    api.refuses("slash", |client| client.hooks().deploy("dice", "x").command("/roll", "").send());
    api.answers(Response::text(409, r#"{"error":"Slug taken"}"#));
    let error = api.client().hooks().deploy("dice", "x").command("roll", "").send().unwrap_err();
    assert_eq!((error.kind(), error.server_message()), (ErrorKind::Conflict, Some("Slug taken")));
}

#[test]
fn calls_with_a_hook_key() {
    let api = Api::new();
    let agency = AgencyId::from("ag-1");
    for answer in
        [r#"[{"id":"ag-1","name":"n","slug":"s"}]"#, r#"{"agencies":[{"id":"ag-1","name":"n","slug":"s"}]}"#]
    {
        let agencies = api.hook_sends("GET /api/hooks/agencies", "", answer, |hook| hook.agencies());
        assert_eq!(agencies[0].id, "ag-1");
    }
    let answer = r#"[{"id":"usr-1","username":"alice","display_name":"Alice"}]"#;
    let members =
        api.hook_sends("GET /api/hooks/agencies/ag-1/members", "", answer, |hook| hook.members(&agency));
    assert_eq!(members[0].display_name, "Alice");
    for (answer, id) in [
        (r#"{"id":"msg-1"}"#, Some("msg-1")),
        (r#"{"ok":true,"messageId":"msg-1"}"#, Some("msg-1")),
        (r#"{"message":{"id":"msg-1","content":"hi"}}"#, Some("msg-1")),
        (r#"{"ok":true,"message":"posted"}"#, None),
        ("", None),
        ("done", None),
    ] {
        let body = r#"{"agencyId":"ag-1","content":"hi @mybot"}"#;
        let posted =
            api.hook_sends("POST /api/hooks/messages", body, answer, |hook| hook.post(&agency, "hi @mybot"));
        assert_eq!(posted.as_ref().map(|id| id.as_str()), id, "{answer}");
    }
    api.hook_sends("PATCH /api/hooks/messages/msg-1", r#"{"content":"ho"}"#, "", |hook| {
        hook.edit(&"msg-1".into(), "ho")
    });
    api.answers(Response::text(401, r#"{"error":"Invalid hook key 6b657931"}"#));
    let error = api.hook().agencies().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(!format!("{error} {error:?}").contains(crate::rest_support::HOOK_KEY), "{error:?}");
}
