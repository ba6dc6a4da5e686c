//! Contract: a response may have only the required fields, `null` for all others, and unknown keys.

use crate::common::Response;
use crate::rest_support::{Api, PAT};
use crustocean::{Client, Error};
use serde_json::{Value, json};

/// Returns how many elements of the response could not be decoded.
type Call = Box<dyn Fn(&Client) -> Result<usize, Error>>;

/// The required fields of each response in the reference, and all its optional keys, in either spelling.
fn answers() -> Vec<(&'static str, Value, &'static str, Call)> {
    macro_rules! row {
        ($name:literal, [$($least:tt)*], $rest:literal, |$client:ident| $call:expr) => {
            (
                $name,
                json!([$($least)*]),
                $rest,
                Box::new(|$client: &Client| $call.map(|list| list.skipped())) as Call,
            )
        };
        ($name:literal, $least:tt, $rest:literal, |$client:ident| $call:expr) => {
            ($name, json!($least), $rest, Box::new(|$client: &Client| $call.map(|_| 0_usize)) as Call)
        };
    }
    let user = "displayName display_name avatar banner description theme font role createdAt created_at type persona";
    vec![
        row!("me", {"id": "u", "username": "a"}, "displayName display_name avatar banner description theme font role createdAt", |c| c.account().me()),
        (
            "profile",
            json!({"id": "u", "username": "a"}),
            user,
            Box::new(|c: &Client| c.users().profile("a").map(|_| 0_usize)),
        ),
        row!("token", {"id": "t", "token": PAT}, "name expires_at expiresAt expires created_at", |c| c.tokens().create("ci").send()),
        row!("tokens", [{"id": "t"}], "name created_at expires_at last_used_at prefix scopes", |c| c.tokens().list()),
        row!("agent", {"agent": {"id": "u", "username": "a"}, "agentToken": "sk"}, "ok", |c| c.agents().create("ab").send()),
        row!("agents", [{"id": "u", "username": "a"}], "name displayName role verified is_verified status", |c| c.agents().list()),
        row!("verified", {}, "agentToken ok", |c| c.agents().verify(&"u".into())),
        row!("config", {}, "role personality prompt_permission prompt_whitelist", |c| c
            .agents()
            .config(&"u".into())),
        row!("bootstrap", {
            "user": {"id": "u", "username": "a", "token": "s"}, "pat": {"token": PAT}, "agency": {"id": "ag"},
            "agent": {"id": "u", "username": "a", "token": "sk"}
        }, "ok next", |c| c.onboarding().bootstrap("ab", "12345678", "cd").send()),
        row!("register", {
            "agent": {"id": "u", "username": "a", "token": "sk"}, "agency": {"id": "ag"}, "claimCode": "cru_claim_1"
        }, "ok claimUrl important", |c| c.onboarding().register_agent("ab").send()),
        row!("claim", {"username": "a"}, "displayName persona avatarUrl", |c| c.onboarding().claim_lookup(&"cru_claim_1".parse().unwrap())),
        row!("pending claim", {}, "maskedEmail", |c| c
            .onboarding()
            .claim(&"cru_claim_1".parse().unwrap(), "a@b.c")),
        row!("agencies", [{"id": "ag"}], "name slug charter isMember member_count is_private ownerId createdAt", |c| c.agencies().list()),
        row!("agency", {"id": "ag"}, "name slug charter isPrivate memberCount", |c| c.agencies().lookup("x")),
        row!("members", [{"id": "u", "username": "a"}], "displayName display_name role", |c| c.agencies().members(&"ag".into())),
        row!("messages", [{"id": "m", "agency_id": "ag", "content": "", "created_at": "2026-01-01T00:00:00Z"}],
            "type metadata edited_at sender_id sender_username sender_display_name sender_type dm", |c| c.agencies().messages(&"ag".into()).send()),
        row!("invite", {"code": "x"}, "maxUses expires expires_at", |c| c.agencies().invite(&"ag".into()).send()),
        row!("redeemed", {"agencyId": "ag"}, "ok", |c| c.agencies().redeem_invite("x")),
        row!("skills", {}, "installed available", |c| c.agencies().skills(&"ag".into())),
        row!("runs", [{"id": "r"}], "agent_username status started_at duration", |c| c.runs().in_agency(&"ag".into()).send()),
        row!("run", {"id": "r"}, "agent_username status started_at duration summary error transcript", |c| c.runs().get(&"r".into())),
        row!("conversations", [{"agencyId": "dm", "participant": {"username": "b"}}], "last_message", |c| c.dms().list()),
        row!("conversation", {"agencyId": "dm"}, "created", |c| c.dms().open(&"u".into())),
        row!("agencies found", [{"slug": "s"}], "name charter member_count isMember", |c| c.explore().agencies().send()),
        row!("agents found", [{"username": "a"}], "name display_name role verified agencySlug", |c| c.explore().agents().send()),
        row!("users found", [{"username": "a"}], "displayName display_name type", |c| c.explore().users().send()),
        row!(
            "hooks found",
            [{}],
            "name slug at_name creator description commands source_url source_hash verified schema hook_id enabled",
            |c| c.explore().webhooks().send()
        ),
        row!("address", {"username": "a"}, "address", |c| c.explore().wallet("a")),
        row!("capabilities", {}, "wallets network token x402 hookTransparency", |c| c
            .explore()
            .capabilities()),
        row!("platform commands", [{"name": "who"}], "description type source", |c| c.explore().commands()),
        row!("command", {"id": "c", "name": "x"}, "description webhook_url explore_metadata invoke_permission invoke_whitelist created_at hookKey", |c| c.commands(&"ag".into()).create("x", "https://w").send()),
        row!("commands", [{"id": "c", "name": "x"}], "description webhookUrl agencyId", |c| c.commands(&"ag".into()).list()),
        row!("key", {"hookKey": "6b"}, "ok", |c| c.commands(&"ag".into()).hook_key(&"c".into())),
        row!(
            "hook",
            {},
            "id webhook_url name slug at_name description creator default_invoke_permission enabled source_url source_hash verified schema commands created_at updated_at source_code",
            |c| c.hooks().by_id(&"h".into())
        ),
        row!("source", {"webhook_url": "https://w"}, "source_url source_hash verified schema", |c| c.hooks().source("https://w")),
        row!("deployed", {"hook_id": "h", "slug": "s"}, "source_type source_hash verified commands installed_in installed_commands hook_key", |c| c.hooks().deploy("s", "x").command("x", "y").send()),
        row!("events", {"events": []}, "description", |c| c.webhook_event_types()),
        row!("subscription", {"id": "s", "url": "https://w"}, "agencyId events secret active enabled description created_at updated_at", |c| c.webhooks(&"ag".into()).create("https://w", ["x".into()]).send()),
        row!("subscriptions", [{"id": "s", "url": "https://w"}], "events description enabled created_at updated_at", |c| c.webhooks(&"ag".into()).list()),
        row!("wallet", {"hasWallet": true}, "address network balances explorer spendingConfig invalid", |c| c.wallet().info()),
        row!("registered wallet", {"address": "0x"}, "network explorer", |c| c.wallet().register(&format!("0x{}", "a".repeat(40)))),
        row!("payment", {"txHash": "0x"}, "messageId verified explorerUrl", |c| c.wallet().report_payment(format!("0x{}", "1".repeat(64)), &"ag".into(), "@b", "1").send()),
    ]
}

/// Returns the same response with these additional keys, in the object or in every object of the list.
fn with(least: &Value, keys: &str, value: &Value) -> Value {
    let mut answer = least.clone();
    let objects = match &mut answer {
        Value::Array(list) => list.iter_mut().collect(),
        object => vec![object],
    };
    for object in objects {
        for key in keys.split(' ') {
            object[key] = value.clone();
        }
    }
    answer
}

#[test]
fn the_required_fields_are_enough() {
    let api = Api::new();
    for (name, least, rest, call) in answers() {
        let odd = json!({"nobody": [{"knows": null}, 1e300]});
        for answer in
            [least.clone(), with(&least, rest, &Value::Null), with(&least, "brandNew brand_new", &odd)]
        {
            api.answers(Response::json(200, answer.clone()));
            match call(&api.client()) {
                Ok(skipped) => assert_eq!(skipped, 0, "{name}: {answer}"),
                Err(error) => panic!("{name}: {answer}: {error:?}"),
            }
        }
    }
}

/// A missing required field is an error that names it and quotes nothing of the response. In a list only that element is
/// lost.
#[test]
fn a_missing_required_field_is_an_error_that_names_it() {
    let api = Api::new();
    for (name, least, _, call) in answers() {
        let Some(object) =
            least.as_object().or_else(|| least.get(0)?.as_object()).filter(|object| !object.is_empty())
        else {
            continue;
        };
        for key in object.keys() {
            let mut less = object.clone();
            less.remove(key);
            if least.is_array() {
                api.answers(Response::json(200, json!([less, object, null])));
                assert_eq!(call(&api.client()).unwrap(), 2, "{name}: {key}");
                continue;
            }
            let answer = Value::from(less);
            api.answers(Response::json(200, answer.clone()));
            let error = call(&api.client()).expect_err(name);
            assert_eq!(error.kind(), crustocean::ErrorKind::Protocol, "{name}: {answer}");
            let text = error.to_string();
            assert!(text.contains("missing field") || name == "events", "{name}: {text}");
            assert!(!text.contains(PAT) && !text.contains("sk"), "{name}: {text}");
        }
    }
}
