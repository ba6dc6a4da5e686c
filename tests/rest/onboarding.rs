//! Contract: bootstrap, an agent that registers itself, claiming it.

use crate::common::Response;
use crate::rest_support::{Api, PAT};
use crustocean::{ErrorKind, rest::ClaimCode};

const CODE: &str = "cru_claim_00112233445566778899aabbccddeeff";

fn code() -> ClaimCode {
    CODE.parse().unwrap()
}

#[test]
fn bootstrap() {
    let api = Api::new();
    let answer = format!(
        r#"{{"ok":true,"user":{{"id":"usr-1","username":"alice","token":"session_1"}},
        "pat":{{"token":"{PAT}","expiresAt":null}},"agency":{{"id":"ag-1","name":"mybot's Agency","slug":"mybots-agency"}},
        "agent":{{"id":"usr-9","username":"mybot","displayName":"My Bot","token":"sk_1","verified":true}},
        "next":{{"connectSdk":"x","connectSocket":"y","docs":"z"}}}}"#
    );
    let made = api.sends(
        "POST /api/bootstrap",
        r#"{"agentName":"mybot","password":"correct horse","username":"alice"}"#,
        &answer,
        |client| client.onboarding().bootstrap("alice", "correct horse", "mybot").send(),
    );
    assert_eq!((made.user.token.expose(), made.pat.token.expose()), ("session_1", PAT));
    assert_eq!((made.agent.token.expose(), made.agent.verified), ("sk_1", true));
    assert_eq!((made.agency.id.as_str(), made.agent.display_name.as_str()), ("ag-1", "My Bot"));
    let debug = format!("{made:?}");
    for secret in ["session_1", PAT, "sk_1"] {
        assert!(!debug.contains(secret), "{debug}");
    }
    let full = concat!(
        r#"{"agencyCharter":"c","agencyName":"Home","agentName":"mybot","agentRole":"Assistant","displayName":"Alice","#,
        r#""openclawAgentId":"main","openclawGateway":"https://g","openclawToken":"t","password":"correct horse","#,
        r#""username":"alice","webhookUrl":"https://w"}"#
    );
    api.sends("POST /api/bootstrap", full, &answer, |client| {
        let all = client.onboarding().bootstrap("alice", "correct horse", "mybot");
        let all = all.display_name("Alice").agency_name("Home").agency_charter("c").agent_role("Assistant");
        let all = all.webhook_url("https://w").openclaw("https://g", "t").openclaw_agent_id("main");
        assert!(!format!("{all:?}").contains("correct horse"));
        all.send()
    });
    api.refuses("2 to 24 letters", |client| {
        client.onboarding().bootstrap("a", "correct horse", "mybot").send()
    });
    api.refuses("at least 8", |client| client.onboarding().bootstrap("alice", "short", "mybot").send());
    api.refuses("2 to 24 characters", |client| {
        client.onboarding().bootstrap("alice", "correct horse", "b").send()
    });

    api.answers(Response::text(401, r#"{"error":"Invalid username or password"}"#));
    let nobody = api.builder().anonymous().unwrap();
    let error = nobody.onboarding().bootstrap("alice", "wrong horse", "mybot").send().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.to_string().contains("password") && !format!("{error:?}").contains("horse"), "{error:?}");
}

#[test]
fn an_agent_registers_itself() {
    let api = Api::new();
    let answer = format!(
        r#"{{"ok":true,"agent":{{"id":"usr-9","username":"mybot","displayName":"My Bot","token":"sk_1","verified":true}},
        "agency":{{"id":"ag-1","name":"n","slug":"s"}},"claimUrl":"https://crustocean.chat/claim/{CODE}",
        "claimCode":"{CODE}","important":"Save it"}}"#
    );
    let made = api.sends("POST /api/agents/register", r#"{"name":"My Bot"}"#, &answer, |client| {
        client.onboarding().register_agent("My Bot").send()
    });
    assert_eq!((made.agent.token.expose(), made.claim_code.expose()), ("sk_1", CODE));
    assert!(made.claim_url.as_ref().unwrap().expose().ends_with(CODE));
    assert_eq!(made.important.as_deref(), Some("Save it"));
    let debug = format!("{made:?}");
    assert!(!debug.contains("sk_1") && !debug.contains(CODE), "{debug}");
    let full = concat!(
        r#"{"agencyCharter":"c","agencyName":"Home","description":"d","name":"My Bot","openclawAgentId":"main","#,
        r#""openclawGateway":"https://g","openclawToken":"t"}"#
    );
    api.sends("POST /api/agents/register", full, &answer, |client| {
        let agent = client.onboarding().register_agent("My Bot").description("d");
        let agent = agent.agency_name("Home").agency_charter("c");
        agent.openclaw("https://g", "t").openclaw_agent_id("main").send()
    });
    api.refuses("2 to 24", |client| client.onboarding().register_agent("x").send());
}

#[test]
fn claiming() {
    let api = Api::new();
    let agent = api.sends(
        &format!("GET /api/agents/claim/{CODE}"),
        "",
        r#"{"username":"mybot","displayName":"My Bot","persona":"p","avatarUrl":"https://a"}"#,
        |client| client.onboarding().claim_lookup(&code()),
    );
    assert_eq!((agent.display_name.as_str(), agent.avatar.as_deref()), ("My Bot", Some("https://a")));
    let body = format!(r#"{{"claimCode":"{CODE}","email":"alice@example.com"}}"#);
    let claim =
        api.sends("POST /api/agents/claim", &body, r#"{"maskedEmail":"a****@example.com"}"#, |client| {
            client.onboarding().claim(&code(), "alice@example.com")
        });
    assert_eq!(claim.masked_email.as_deref(), Some("a****@example.com"));
    for (status, kind) in [(404, ErrorKind::NotFound), (409, ErrorKind::Conflict)] {
        api.answers(Response::text(status, r#"{"error":"no"}"#));
        let error = api.client().onboarding().claim_lookup(&code()).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(!format!("{error} {error:?}").contains(CODE), "{error:?}");
    }
    // The server decides how long a code is.
    let short = "cru_claim_00112233";
    api.answers(Response::text(404, format!(r#"{{"error":"no agent for {short}"}}"#)));
    let error = api.client().onboarding().claim_lookup(&short.parse().unwrap()).unwrap_err();
    let text = format!("{error} {error:?} {:?}", error.server_message());
    assert!(text.contains("no agent for …") && !text.contains("00112233"), "{text}");
    // The code is in the path. So errors about the response must not contain it, either.
    api.answers(Response::text(200, "[]"));
    let error = api.client().onboarding().claim_lookup(&code()).unwrap_err();
    assert!(error.kind() == ErrorKind::Protocol && !format!("{error:?}").contains(CODE), "{error:?}");
}
