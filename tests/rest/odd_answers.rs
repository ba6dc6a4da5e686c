//! Contract: an invalid value loses only itself. Every optional field of every type may contain any JSON, and every list any
//! element.

use std::collections::BTreeSet;
use std::fmt::Debug;

use crustocean::model::*;
use crustocean::webhook::{HookCall, HookCaller, HookCommand, PromptRequest, PromptedAgent, WebhookDelivery};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Values of each JSON type, and unusual ones.
fn anything() -> Vec<String> {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let mut values =
        ["null", "true", "false", "0", "7", "-1", "2.5", "1e300", "\"\"", "\"x\"", "\"[\"", "\"{\""]
            .map(str::to_owned)
            .to_vec();
    values.extend(
        ["[]", "[null]", "[[]]", "{}", "{\"a\":[1]}", "\"\\ud83d\"", "[\"\\udc00\"]"].map(str::to_owned),
    );
    values.push(deep.clone());
    values.push(format!("{{\"\\ud800\":{deep}}}"));
    values
}

/// Puts each of these values into each optional field, in either spelling. The required fields must still be decoded.
fn survives<T: DeserializeOwned + Debug>(least: &Value, optional: &str) {
    let least = least.as_object().unwrap();
    let read = |json: &str| serde_json::from_str::<T>(json);
    read(&serde_json::to_string(least).unwrap()).unwrap();
    let members: Vec<String> = least.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
    for field in optional.split_whitespace() {
        assert!(!least.contains_key(field), "{field} is required");
        for value in anything() {
            for spelling in BTreeSet::from([field.to_owned(), other_spelling(field)]) {
                let mut members = members.clone();
                members.push(format!("{spelling:?}:{value}"));
                let json = format!("{{{}}}", members.join(","));
                if let Err(error) = read(&json) {
                    panic!("{}: {json}: {error}", std::any::type_name::<T>());
                }
                // The value is also decoded from a `Value`, if serde_json can make one.
                if let Ok(tree) = serde_json::from_str::<Value>(&json) {
                    serde_json::from_value::<T>(tree).unwrap();
                }
            }
        }
    }
}

fn other_spelling(key: &str) -> String {
    if key.contains('_') {
        return key.split('_').enumerate().fold(String::new(), |text, (at, part)| {
            let (head, tail) = part.split_at(1);
            text + &if at == 0 { head.to_owned() } else { head.to_ascii_uppercase() } + tail
        });
    }
    key.chars().fold(String::new(), |text, c| match c.is_ascii_uppercase() {
        true => text + "_" + &c.to_ascii_lowercase().to_string(),
        false => text + &c.to_string(),
    })
}

#[test]
fn an_invalid_optional_value_counts_as_absent() {
    let pat = format!("cru_{}", "a".repeat(48));
    let agency = json!({"id": "ag"});
    let agent = json!({"id": "u", "username": "a", "token": "sk"});
    survives::<Agency>(&agency, "name slug charter is_private isMember member_count owner_id created_at");
    survives::<AgencyJoined>(&json!({"agencyId": "ag"}), "members");
    survives::<Invitation>(&json!({"agencyId": "ag"}), "agency");
    survives::<Member>(&json!({"id": "u", "username": "a"}), "displayName name type is_agent role");
    survives::<AgencyListing>(&json!({"slug": "s"}), "name id charter member_count isMember");
    survives::<AgentListing>(
        &json!({"username": "a"}),
        "display_name name role verified is_verified agencySlug",
    );
    survives::<UserListing>(&json!({"username": "a"}), "displayName name id type");
    survives::<PlatformCommand>(&json!({"name": "x"}), "description type source");
    survives::<Capabilities>(&json!({}), "wallets network token x402 hookTransparency");
    survives::<AgentInfo>(
        &json!({"id": "u", "username": "a"}),
        "displayName name role personality verified is_verified status owner_id created_at",
    );
    survives::<CreatedAgent>(&json!({"agent": {"id": "u", "username": "a"}, "agentToken": "sk"}), "ok");
    survives::<VerifiedAgent>(&json!({}), "agentToken");
    survives::<ExploreMetadata>(
        &json!({}),
        "slug at_name creator display_name description default_invoke_permission",
    );
    survives::<CustomCommand>(
        &json!({"id": "c", "name": "x"}),
        "description webhook_url agency_id explore_metadata invoke_permission invoke_whitelist created_at",
    );
    survives::<CommandReply>(
        &json!({"ok": true}),
        "command content error message type ephemeral queued messageId metadata",
    );
    survives::<Conversation>(
        &json!({"agencyId": "dm", "participant": {"username": "b"}}),
        "username last_message",
    );
    survives::<Participant>(&json!({"username": "b"}), "id displayName name type");
    survives::<Hook>(
        &json!({}),
        "id slug name at_name description creator commands webhook_url default_invoke_permission enabled source_url \
         source_hash verified schema source_code created_at updated_at",
    );
    survives::<HookCommand>(&json!({"name": "x"}), "description");
    survives::<HookSource>(&json!({"webhook_url": "https://w"}), "source_url source_hash verified schema");
    survives::<DeployedHook>(
        &json!({"hook_id": "h", "slug": "s"}),
        "source_type source_hash verified commands installed_in installed_commands hook_key",
    );
    survives::<HostedConfig>(&json!({}), "soul_md config_yaml skills");
    survives::<Invite>(&json!({"code": "x"}), "maxUses expires_at expires");
    survives::<Skill>(&json!({"name": "x"}), "description");
    survives::<Skills>(&json!({}), "installed available");
    survives::<Message>(
        &json!({"id": "m", "agency_id": "ag", "content": "hi", "created_at": "2026-01-01T00:00:00Z"}),
        "type metadata edited_at sender_id authorId sender_username username sender_display_name display_name \
         sender_type dm",
    );
    survives::<MessageEdited>(&json!({"messageId": "m", "content": "hi"}), "agencyId metadata edited_at");
    survives::<Bootstrapped>(
        &json!({"user": agent, "pat": {"token": pat}, "agency": agency, "agent": agent}),
        "ok next",
    );
    survives::<BootstrappedUser>(&agent, "next");
    survives::<BootstrappedToken>(&json!({"token": pat}), "expiresAt expires");
    survives::<NewAgent>(&agent, "displayName name verified");
    survives::<RegisteredAgent>(
        &json!({"agent": agent, "agency": agency, "claimCode": "cru_claim_1"}),
        "claimUrl important",
    );
    survives::<ClaimableAgent>(&json!({"username": "a"}), "displayName persona avatarUrl avatar");
    survives::<PendingClaim>(&json!({}), "maskedEmail");
    survives::<PersonalAccessTokenInfo>(
        &json!({"id": "t"}),
        "name prefix token_prefix scopes created_at expires_at expires last_used_at",
    );
    survives::<Style>(&json!({}), "sender_color content_color");
    survives::<Span>(&json!({"text": "x"}), "color");
    survives::<RunInfo>(&json!({"id": "r"}), "agent_username agent status started_at duration summary error");
    survives::<TraceStep>(&json!({}), "step duration status detail");
    survives::<User>(
        &json!({"id": "u", "username": "a"}),
        "displayName name type description persona role avatar avatarUrl banner theme font follower_count \
         following_count createdAt",
    );
    survives::<WalletInfo>(
        &json!({"hasWallet": true}),
        "address network balances explorer explorerUrl spendingConfig invalid",
    );
    survives::<Balances>(&json!({}), "usdc eth");
    survives::<RegisteredWallet>(&json!({"address": "0x"}), "network explorer");
    survives::<WalletAddress>(&json!({"username": "a"}), "address");
    survives::<Payment>(&json!({"txHash": "0x"}), "messageId verified explorerUrl");
    survives::<Subscription>(
        &json!({"id": "s", "url": "https://w"}),
        "agency_id events description enabled active secret created_at updated_at",
    );
    survives::<WebhookEventType>(&json!({"name": "message.created"}), "description");
    survives::<HookCall>(
        &json!({"agencyId": "ag", "command": "x", "sender": {"username": "a"}}),
        "rawArgs positional flags creator hook_target",
    );
    survives::<HookCaller>(&json!({"username": "a"}), "userId id displayName type");
    survives::<WebhookDelivery>(
        &json!({"event": "message.created", "agencyId": "ag"}),
        "timestamp message more",
    );
    survives::<PromptRequest>(&json!({"agent": {"id": "u", "username": "a"}}), "agencyCharter history");
    survives::<PromptedAgent>(&json!({"id": "u", "username": "a"}), "displayName persona config");
}

#[test]
fn a_required_text_may_be_null_or_a_number() {
    let odd =
        r#"{"id":7,"agency_id":"ag","content":null,"created_at":1772000000,"sender_username":5,"dm":"1"}"#;
    let message: Message = serde_json::from_str(odd).unwrap();
    assert_eq!((message.id.as_str(), message.content.as_str()), ("7", ""));
    assert_eq!((message.created_at.as_str(), message.sender_username.as_str()), ("1772000000", "5"));
    assert!(message.dm);
    // The identifying field is required.
    for bad in [r#"{"id":null,"agency_id":"ag","content":"","created_at":""}"#, "{}", "null", "7", "[]"] {
        assert!(serde_json::from_str::<Message>(bad).is_err(), "{bad}");
    }
    let error =
        serde_json::from_str::<Message>(r#"{"id":{"sk_secret":1},"agency_id":"ag","content":"sk_secret"}"#);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`id`") && !error.contains("sk_secret"), "{error}");
}

#[test]
fn the_next_spelling_counts_if_the_first_one_is_invalid() {
    let user = |json: &str| serde_json::from_str::<User>(json).unwrap().display_name;
    assert_eq!(user(r#"{"id":"u","username":"a","displayName":{},"name":"Alice"}"#), "Alice");
    assert_eq!(user(r#"{"id":"u","username":"a","displayName":[],"display_name":null,"name":{}}"#), "a");
}
