//! Contract: the calls that open a session.

use crate::common::Response;
use crate::rest_support::Api;
use crustocean::{ErrorKind, rest::Login};

const MINIMAL: &str = r#"{"token":"5e5510n","user":{"id":"usr-1","username":"alice"}}"#;
const FULL: &str = r#"{"token":"5e5510n","user":{"id":"usr-1","username":"alice","displayName":"Alice","avatar":null,
    "banner":null,"description":null,"theme":"dark","font":"serif","role":null,"createdAt":"2025-02-27T12:34:56.789Z"},
    "expiresIn":"7d"}"#;
const OTHER: &str = r#"{"user":{"id":"usr-1","username":"alice","display_name":"Alice","created_at":"2025-02-27T12:34:56.789Z"},
    "token":"5e5510n"}"#;

/// Checks the request, which has no credential yet.
#[track_caller]
fn sent(api: &Api, path: &str, body: &str) {
    let requests = api.requests();
    let request = requests.last().unwrap();
    assert_eq!((request.method.as_str(), request.path.as_str(), request.query.as_str()), ("POST", path, ""));
    assert_eq!(String::from_utf8_lossy(&request.body), body);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), None);
}

#[track_caller]
fn opened(api: &Api, login: &Login, answer: &str) {
    assert_eq!((login.token.expose(), login.user.id.as_str()), ("5e5510n", "usr-1"));
    let name = if answer == MINIMAL { "alice" } else { "Alice" };
    assert_eq!(login.user.display_name, name);
    assert_eq!(login.user.created_at.is_some(), answer != MINIMAL);
    // From now on the session is the credential.
    api.answers(Response::text(200, r#"{"id":"usr-1","username":"alice"}"#));
    login.client.account().me().unwrap();
    assert_eq!(api.requests().last().unwrap().header("authorization"), Some("Bearer 5e5510n"));
}

#[test]
fn registering() {
    let api = Api::new();
    for answer in [MINIMAL, FULL, OTHER] {
        api.answers(Response::text(201, answer));
        let login = api.builder().register("alice", "correct \"horse\"").unwrap();
        sent(&api, "/api/auth/register", r#"{"username":"alice","password":"correct \"horse\""}"#);
        opened(&api, &login, answer);
    }
    api.answers(Response::text(201, FULL));
    api.builder().display_name("Alice A.").register("alice", "correct horse").unwrap();
    let body = r#"{"username":"alice","password":"correct horse","displayName":"Alice A."}"#;
    sent(&api, "/api/auth/register", body);

    let before = api.requests().len();
    for (name, password, rule) in [
        ("a", "correct horse", "2 to 24"),
        ("alice smith", "correct horse", "2 to 24"),
        ("alice", "1234567", "at least 8"),
    ] {
        let error = api.builder().register(name, password).unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(rule), "{error}");
    }
    assert_eq!(api.requests().len(), before);
}

#[test]
fn logging_in() {
    let api = Api::new();
    for answer in [MINIMAL, FULL, OTHER] {
        api.answers(Response::text(200, answer));
        // The rules for new names do not apply to existing ones.
        let login = api.builder().display_name("not for a login").login("a", "short").unwrap();
        sent(&api, "/api/auth/login", r#"{"username":"a","password":"short"}"#);
        opened(&api, &login, answer);
    }
    for odd in [
        r#"{"user":{"id":"usr-1","username":"alice"}}"#,
        r#"{"token":"5e5510n"}"#,
        r#"{"token":7,"user":{}}"#,
        "{}",
    ] {
        api.answers(Response::text(200, odd));
        let error = api.builder().login("alice", "correct horse").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{odd}");
        assert!(!format!("{error} {error:?}").contains("5e5510n"), "{error:?}");
    }
}
