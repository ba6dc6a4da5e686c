//! Claiming an agent that registered itself.

// Helpers outside of test functions may panic, too.
use crate::common::{Answer, call, get, post, text};
use crustocean_sandbox::{Credentials, Sandbox};
use serde_json::{Value, json};

/// Registers an agent. Returns its claim code and the id of its agency.
fn register(sandbox: &Sandbox, name: &str) -> (String, String) {
    let made = call(sandbox, "POST", "/api/agents/register", "", json!({ "name": name }));
    assert_eq!(made.status, 201, "{}", made.body);
    let code = text(&made.body["claimCode"]);
    assert_eq!(made.body["claimUrl"], json!(format!("https://crustocean.chat/claim/{code}")));
    (code, text(&made.body["agency"]["id"]))
}

fn claim(sandbox: &Sandbox, who: &Credentials, code: &str) -> Answer {
    let body = json!({ "claimCode": code, "email": "someone@example.com" });
    call(sandbox, "POST", "/api/agents/claim", &who.token, body)
}

/// Opens the link of a mail. Returns the target of the redirect.
fn open(sandbox: &Sandbox, token: &str) -> String {
    let answer = call(sandbox, "GET", &format!("/api/agents/claim/verify/{token}"), "", Value::Null);
    assert_eq!(answer.status, 302);
    answer.location.unwrap().strip_prefix("https://crustocean.chat/?").unwrap().to_owned()
}

fn last_token(sandbox: &Sandbox) -> String {
    sandbox.claims().pop().unwrap().token
}

#[test]
fn the_link_in_the_mail_makes_the_human_the_owner() {
    let sandbox = Sandbox::start().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| sandbox.add_user(name).unwrap());
    let (code, agency) = register(&sandbox, "Deep Thought");
    let lookup = format!("/api/agents/claim/{code}");
    assert_eq!(get(&sandbox, &lookup, "")["username"], "deepthought");

    let asked = claim(&sandbox, &alice, &code);
    assert_eq!((asked.status, &asked.body["maskedEmail"]), (200, &json!("s******@example.com")));
    assert_eq!(claim(&sandbox, &bob, &code).status, 200);
    let mails = sandbox.claims();
    assert_eq!((mails.len(), mails[0].email.as_str()), (2, "someone@example.com"));
    assert_eq!(mails[0].agent_username, "deepthought");
    // Requesting a claim does not make an owner yet.
    assert_eq!(get(&sandbox, "/api/agents", &alice.token), json!([]));
    assert!(!format!("{mails:?}").contains(&mails[0].token));

    assert_eq!(open(&sandbox, &mails[0].token), "claimed=deepthought");
    assert_eq!(get(&sandbox, "/api/agents", &alice.token)[0]["username"], "deepthought");
    let members = get(&sandbox, &format!("/api/agencies/{agency}/members"), &alice.token);
    let role = |name: &str| {
        let member = members.as_array().unwrap().iter().find(|member| member["username"] == name);
        text(&member.unwrap()["role"])
    };
    assert_eq!((role("alice"), role("deepthought")), ("owner".to_owned(), "member".to_owned()));
    let charter = json!({ "charter": "mine now" });
    assert_eq!(
        call(&sandbox, "PATCH", &format!("/api/agencies/{agency}"), &alice.token, charter).status,
        200
    );

    // The code and the links are used up.
    assert_eq!(call(&sandbox, "GET", &lookup, "", Value::Null).status, 409);
    assert_eq!(claim(&sandbox, &bob, &code).status, 409);
    assert_eq!(open(&sandbox, &mails[0].token), "claim_error=already_claimed");
    assert_eq!(open(&sandbox, &mails[1].token), "claim_error=invalid");
    // No record contains the secrets.
    assert!(sandbox.requests().iter().all(|line| !line.contains(&code) && !line.contains(&mails[0].token)));
}

#[test]
fn expired_links_can_be_replaced() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let (code, _) = register(&sandbox, "first");
    claim(&sandbox, &alice, &code);
    let old = last_token(&sandbox);
    sandbox.expire_claims();
    assert_eq!(open(&sandbox, &old), "claim_error=expired");
    claim(&sandbox, &alice, &code);
    assert_eq!(open(&sandbox, &old), "claim_error=invalid");
    assert_eq!(open(&sandbox, "nonsense"), "claim_error=invalid");
    assert_eq!(open(&sandbox, &last_token(&sandbox)), "claimed=first");
}

#[test]
fn three_claims_may_be_pending_and_bad_ones_are_refused() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let codes = ["one", "two", "three", "four"].map(|name| register(&sandbox, name).0);
    for code in &codes[..3] {
        assert_eq!(claim(&sandbox, &alice, code).status, 200);
    }
    assert_eq!(claim(&sandbox, &alice, &codes[3]).status, 400);
    // A new link for one of the three is not a fourth claim. A completed claim makes space.
    assert_eq!(claim(&sandbox, &alice, &codes[2]).status, 200);
    let mail = sandbox.claims().pop().unwrap();
    assert_eq!(sandbox.confirm_claim(&mail).unwrap(), "three");
    assert_eq!(sandbox.confirm_claim(&mail).unwrap_err().to_string(), "already_claimed");
    assert_eq!(claim(&sandbox, &alice, &codes[3]).status, 200);

    assert_eq!(claim(&sandbox, &alice, "cru_claim_no").status, 404);
    assert_eq!(call(&sandbox, "GET", "/api/agents/claim/cru_claim_no", "", Value::Null).status, 404);
    for (body, field) in [
        (json!({ "email": "a@b.c" }), "claimCode"),
        (json!({ "claimCode": codes[0] }), "email"),
        (json!({ "claimCode": codes[0], "email": "nobody" }), "email"),
    ] {
        let answer = call(&sandbox, "POST", "/api/agents/claim", &alice.token, body);
        assert_eq!(answer.status, 400);
        assert!(text(&answer.body["error"]).contains(field), "{}", answer.body);
    }
    let body = json!({ "claimCode": codes[0], "email": "a@b.c" });
    assert_eq!(call(&sandbox, "POST", "/api/agents/claim", "", body).status, 401);
    post(&sandbox, "/api/agents", &alice.token, json!({ "name": "five" }));
}
