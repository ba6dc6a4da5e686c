//! Contract: the caller's account, tokens and agents.

use crate::common::Response;
use crate::rest_support::{Api, PAT};
use crustocean::{
    AgencyId, AgentId, AgentToken, Client, ErrorKind, UserId,
    model::{ApprovalMode, Expiry, HostedConfig, SenderType},
    webhook::PromptPermission,
};

const USER: &str = r#"{"id":"usr-1","username":"alice","displayName":"Alice","avatar":null,"banner":null,
    "description":"I am","font":"serif","theme":"dark","role":"r","createdAt":"2025-02-27T12:34:56.789Z"}"#;

#[test]
fn the_account() {
    let api = Api::new();
    let me = api.sends("GET /api/auth/me", "", USER, |client| client.account().me());
    assert_eq!((me.username.as_str(), me.display_name.as_str(), me.avatar), ("alice", "Alice", None));
    assert_eq!((me.theme.as_deref(), me.font.as_deref()), (Some("dark"), Some("serif")));
    api.reads(
        &[
            r#"{"user":{"id":"usr-9","username":"mybot","display_name":"My Bot","persona":"p","type":"agent"}}"#,
            r#"{"id":"usr-9","username":"mybot","name":"My Bot","persona":"p","type":"agent"}"#,
        ],
        |client| client.account().me(),
        |me| {
            assert_eq!((me.display_name.as_str(), me.persona.as_deref()), ("My Bot", Some("p")));
            assert_eq!(me.kind, Some(SenderType::Agent));
        },
    );
    api.sends("PATCH /api/auth/me", r#"{"description":"","displayName":"A"}"#, USER, |client| {
        client.account().update().display_name("A").description("").send()
    });
    api.sends(
        "PATCH /api/auth/me",
        r#"{"avatar":"https://a","banner":"https://b","font":"serif","theme":"dark"}"#,
        USER,
        |client| {
            client
                .account()
                .update()
                .avatar("https://a")
                .banner("https://b")
                .theme("dark")
                .font("serif")
                .send()
        },
    );
    api.sends("POST /api/auth/logout", "", "", |client| client.account().logout());
    api.sends(
        "POST /api/auth/change-password",
        r#"{"currentPassword":"correct horse","newPassword":"battery staple"}"#,
        "",
        |client| client.account().change_password("correct horse", "battery staple"),
    );
    api.refuses("at least 8", |client| client.account().change_password("correct horse", "short"));
    api.sends("DELETE /api/auth/account", "", "{}", |client| client.account().delete_for_good());
}

#[test]
fn tokens() {
    let api = Api::new();
    let created =
        format!(r#"{{"id":"t-1","name":"ci","token":"{PAT}","expires_at":"2026-01-01T00:00:00Z"}}"#);
    for (expiry, spelled) in [
        (Expiry::Days30, r#""expiresIn":"30d","#),
        (Expiry::Days90, r#""expiresIn":"90d","#),
        (Expiry::OneYear, r#""expiresIn":"1y","#),
        (Expiry::Never, r#""expiresIn":"never","#),
    ] {
        let body = format!(r#"{{{spelled}"name":"ci"}}"#);
        let token = api.sends("POST /api/auth/tokens", &body, &created, |client| {
            client.tokens().create("ci").expires(expiry).send()
        });
        assert_eq!((token.token.expose(), token.info.id.as_str()), (PAT, "t-1"));
    }
    api.sends("POST /api/auth/tokens", r#"{"name":"ci"}"#, &created, |client| {
        client.tokens().create("ci").send()
    });
    api.refuses("1 to 64", |client| client.tokens().create("x".repeat(65)).send());
    api.sends("GET /api/auth/tokens", "", "[]", |client| client.tokens().list());
    api.reads(
        &[
            r#"[{"id":"t-1","name":"ci","created_at":"2025-01-01T00:00:00Z","expires_at":null,"last_used_at":null,
                "prefix":"cru_4f8a","scopes":["all"]}]"#,
            r#"{"tokens":[{"id":"t-1","name":"ci","createdAt":"2025-01-01T00:00:00Z","expiresAt":null,
                "token_prefix":"cru_4f8a","scopes":"all"}]}"#,
        ],
        |client| client.tokens().list(),
        |list| {
            assert_eq!((list[0].name.as_str(), list[0].prefix.as_deref()), ("ci", Some("cru_4f8a")));
            assert_eq!((list[0].scopes.as_slice(), &list[0].expires_at), (["all".to_owned()].as_slice(), &None));
            assert!(list[0].created_at.is_some());
        },
    );
    api.sends("DELETE /api/auth/tokens/t-1", "", "", |client| client.tokens().revoke(&"t-1".into()));
}

#[test]
fn agents() {
    let api = Api::new();
    let id = AgentId::from("usr-9");
    let created = r#"{"agent":{"id":"usr-9","username":"mybot"},"agentToken":"sk_1"}"#;
    let made = api.sends("POST /api/agents", r#"{"name":"mybot"}"#, created, |client| {
        client.agents().create("mybot").send()
    });
    assert_eq!((made.agent.id, made.agent_token.expose()), (id.clone(), "sk_1"));
    api.sends(
        "POST /api/agents",
        r#"{"agencyId":"ag-1","name":"mybot","role":"Assistant"}"#,
        created,
        |client| client.agents().create("mybot").role("Assistant").agency(&AgencyId::from("ag-1")).send(),
    );
    api.refuses("2 to 24", |client| client.agents().create("x").send());
    api.sends("GET /api/agents", "", "[]", |client| client.agents().list());
    api.reads(
        &[
            r#"[{"id":"usr-9","username":"mybot","name":"My Bot","verified":true,"status":"online","role":"r"}]"#,
            r#"{"agents":[{"id":"usr-9","username":"mybot","displayName":"My Bot","is_verified":1,"status":"online","role":"r"}]}"#,
        ],
        |client| client.agents().list(),
        |agents| {
            assert_eq!((agents[0].display_name.as_str(), agents[0].verified), ("My Bot", Some(true)));
            assert_eq!((agents[0].status.as_deref(), agents[0].role.as_deref()), (Some("online"), Some("r")));
        },
    );
    for answer in ["", "{}", r#"{"ok":true,"agentToken":"sk_1"}"#] {
        let verified =
            api.sends("POST /api/agents/usr-9/verify", "", answer, |client| client.agents().verify(&id));
        assert_eq!(verified.agent_token.is_some(), answer.contains("sk_1"));
    }
    api.sends("POST /api/agents/usr-9/transfer", r#"{"newOwnerUsername":"bob"}"#, "{}", |client| {
        client.agents().transfer(&id, "@bob")
    });
    api.sends(
        "POST /api/agents/usr-9/transfer",
        r#"{"newOwnerId":"usr-2"}"#,
        r#"{"newOwner":{"username":"bob"}}"#,
        |client| client.agents().transfer(&id, &UserId::from("usr-2")),
    );
    api.sends("DELETE /api/agents/usr-9", "", "", |client| client.agents().delete(&id));
}

#[test]
fn the_configuration_of_hosted_agents() {
    let api = Api::new();
    let token: AgentToken = "sk_1".parse().unwrap();
    let url = format!("{}/hosted/config.json?for=a%2Fb&x=1#top", api.client_url());
    let fetch = || Client::builder().api_url("http://127.0.0.1:1").hosted_config(&url, &token);
    for answer in [
        r##"{"soul_md":"# Me","config_yaml":"key: do_not_print_me","skills":{"dice":"Roll.","odd":7},"more":1}"##,
        r##"{"soulMd":"# Me","configYaml":"key: do_not_print_me","skills":{"dice":"Roll."}}"##,
    ] {
        api.answers(Response::json(200, serde_json::from_str(answer).unwrap()));
        let config = fetch().unwrap();
        assert_eq!((config.soul_md.as_deref(), config.skills["dice"].as_str()), (Some("# Me"), "Roll."));
        assert_eq!((config.config_yaml.as_deref(), config.skills.len()), (Some("key: do_not_print_me"), 1));
        assert!(!format!("{config:?}").contains("do_not"), "{config:?}");
        let request = api.requests().pop().unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/hosted/config.json"));
        assert_eq!((request.query.as_str(), request.body.len()), ("for=a%2Fb&x=1", 0));
        // The request has the agent's token itself, not a session token.
        assert_eq!(request.header("authorization"), Some("Bearer sk_1"));
    }
    api.answers(Response::text(200, "{}"));
    assert_eq!(fetch().unwrap(), HostedConfig::default());
    for (answer, kind) in [
        (Response::text(401, r#"{"error":"unknown token sk_1"}"#), ErrorKind::Unauthorized),
        (Response::text(200, r#"["do_not_print_me"]"#), ErrorKind::Protocol),
    ] {
        api.answers(answer);
        let error = fetch().unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(
            !format!("{error} {error:?}").contains("sk_1") && !error.to_string().contains("do_not"),
            "{error:?}"
        );
    }
    for bad in ["", "config.json", "ftp://h/x", "https:///x"] {
        let error = Client::builder().hosted_config(bad, &token).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
    }
}

#[test]
fn configurations() {
    let api = Api::new();
    let id = AgentId::from("usr-9");
    api.sends("GET /api/agents/usr-9/config", "", "{}", |client| client.agents().config(&id));
    let in_agency = api.sends(
        "GET /api/agents/usr-9/config?agencyId=ag-1",
        "",
        r#"{"config":{"github_token":"ghp_1"}}"#,
        |client| client.agents().config_in(&id, &"ag-1".into()),
    );
    assert_eq!(in_agency.get("github_token").and_then(|value| value.as_str()), Some("ghp_1"));

    // The response has every documented key, in the spelling of the reference.
    let body = concat!(
        r#"{"expertise_level":"expert","interaction_style":"dry","llm_api_key":"sk","llm_provider":"anthropic","#,
        r#""ollama_endpoint":"https://o","ollama_model":"llama","openclaw_agent_id":"main","#,
        r#""openclaw_gateway":"https://g","openclaw_token":"t","personality":"calm","#,
        r#""prompt_permission":"whitelist","prompt_whitelist":["alice"],"response_webhook_secret":"s","#,
        r#""response_webhook_url":"https://w","role":"Assistant","wallet_allowlisted_hooks":["https://h"],"#,
        r#""wallet_approval_mode":"manual","wallet_spend_limit_daily":50,"wallet_spend_limit_per_tx":2.5}"#,
    );
    api.sends("PATCH /api/agents/usr-9/config", body, "{}", |client| {
        let update = client.agents().update_config(&id).role("Assistant").personality("calm");
        let update = update.interaction_style("dry").expertise_level("expert");
        let update = update.response_webhook_url("https://w").response_webhook_secret("s");
        let update = update.llm_provider("anthropic").llm_api_key("sk");
        let update = update.ollama_endpoint("https://o").ollama_model("llama");
        let update = update.prompt_permission(PromptPermission::Whitelist).prompt_whitelist(["alice"]);
        let update = update.openclaw("https://g", "t").openclaw_agent_id("main");
        let update = update.wallet_spend_limit_per_tx(2.5).wallet_spend_limit_daily(50.0);
        update.wallet_approval_mode(ApprovalMode::Manual).wallet_allowlisted_hooks(["https://h"]).send()
    });
    api.sends("PATCH /api/agents/usr-9/config", r#"{"own":null}"#, "", |client| {
        client.agents().update_config(&id).set("own", serde_json::Value::Null).send()
    });
    // The decoded value equals the sent one.
    api.reads(
        &[body, &format!(r#"{{"config":{body}}}"#)],
        |client| client.agents().config(&id),
        |config| {
            assert_eq!((config.role(), config.expertise_level()), (Some("Assistant"), Some("expert")));
            assert_eq!(
                (config.openclaw_gateway(), config.openclaw_agent_id()),
                (Some("https://g"), Some("main"))
            );
            assert_eq!(config.wallet_spend_limit_per_tx(), Some(2.5));
            assert_eq!(config.wallet_spend_limit_daily(), Some(50.0));
            assert_eq!(config.wallet_approval_mode(), Some(ApprovalMode::Manual));
            assert_eq!(config.wallet_allowlisted_hooks(), ["https://h"]);
            assert_eq!(config.prompt_permission(), Some(PromptPermission::Whitelist));
            assert!(!format!("{config:?}").contains("\"sk\""));
        },
    );
}

#[test]
fn a_spend_limit_that_is_no_amount_is_not_sent() {
    let api = Api::new();
    for limit in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5] {
        api.refuses("wallet_spend_limit_daily", |client| {
            let update = client.agents().update_config(&"a".into());
            update.wallet_spend_limit_per_tx(1.0).wallet_spend_limit_daily(limit).send()
        });
        api.refuses("wallet_spend_limit_per_tx", |client| {
            client.agents().update_config(&"a".into()).wallet_spend_limit_per_tx(limit).send()
        });
    }
    let body = r#"{"wallet_spend_limit_daily":0}"#;
    api.sends("PATCH /api/agents/a/config", body, "{}", |client| {
        let update = client.agents().update_config(&"a".into());
        update.wallet_spend_limit_daily(f64::NAN).wallet_spend_limit_daily(-0.0).send()
    });
}
