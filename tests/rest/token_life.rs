//! A personal access token from its creation to its end.

use crustocean::{Client, ErrorKind, PersonalAccessToken, model::Expiry, rest::Login};
use crustocean_sandbox::Sandbox;

fn alice(sandbox: &Sandbox) -> Login {
    Client::builder().api_url(sandbox.url()).register("alice", "correct horse").unwrap()
}

fn client(sandbox: &Sandbox, token: &PersonalAccessToken) -> Client {
    Client::builder().api_url(sandbox.url()).build(token.clone()).unwrap()
}

#[test]
fn a_token_is_created_used_and_revoked() {
    let sandbox = Sandbox::start().unwrap();
    let session = alice(&sandbox).client;

    let created = session.tokens().create("ci-deploy").expires(Expiry::Days90).send().unwrap();
    assert!(created.token.expose().parse::<PersonalAccessToken>().is_ok());
    assert!(created.info.expires_at.is_some());

    let with_token = client(&sandbox, &created.token);
    assert_eq!(with_token.account().me().unwrap().username, "alice");

    let listed = with_token.tokens().list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id.clone(), listed[0].name.as_str()), (created.info.id.clone(), "ci-deploy"));
    assert!(listed[0].last_used_at.is_some());
    assert!(created.token.expose().starts_with(listed[0].prefix.as_deref().unwrap()));

    session.tokens().revoke(&created.info.id).unwrap();
    let error = with_token.account().me().unwrap_err();
    assert_eq!((error.kind(), error.status(), error.is_auth()), (ErrorKind::Unauthorized, Some(401), true));
    let error = session.tokens().revoke(&created.info.id).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_wrong_token_is_refused_without_repeating_it() {
    let sandbox = Sandbox::start().unwrap();
    let wrong: PersonalAccessToken = format!("cru_{}", "0".repeat(48)).parse().unwrap();
    let error = client(&sandbox, &wrong).account().me().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(!format!("{error} {error:?}").contains(&"0".repeat(8)), "{error:?}");
}

#[test]
fn an_expired_token_is_refused() {
    let sandbox = Sandbox::start().unwrap();
    let created = alice(&sandbox).client.tokens().create("old").expires(Expiry::Days30).send().unwrap();
    let client = client(&sandbox, &created.token);
    client.account().me().unwrap();
    sandbox.expire_personal_access_tokens();
    assert_eq!(client.account().me().unwrap_err().kind(), ErrorKind::Unauthorized);
}

#[test]
fn the_eleventh_token_is_refused() {
    let sandbox = Sandbox::start().unwrap();
    let client = alice(&sandbox).client;
    for number in 1..=10 {
        client.tokens().create(format!("token {number}")).send().unwrap();
    }
    let error = client.tokens().create("one too many").send().unwrap_err();
    assert_eq!(error.status(), Some(400));
    assert!(error.server_message().unwrap().contains("10"), "{error}");
    assert_eq!(client.tokens().list().unwrap().len(), 10);
}

#[test]
fn an_invalid_token_name_is_not_sent() {
    let sandbox = Sandbox::start().unwrap();
    let client = alice(&sandbox).client;
    sandbox.clear_records();
    for name in ["", "  ", &"x".repeat(65)] {
        assert_eq!(client.tokens().create(name).send().unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert!(sandbox.requests().is_empty());
}
