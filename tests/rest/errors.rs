//! The errors for each refusal of the server, and the settings for retries.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::common::{Response, shown};
use crate::rest_support::{Api, PAT};
use crustocean::webhook::WebhookEvent;
use crustocean::{AgencyId, Agent, Client, Error, ErrorKind, PersonalAccessToken};

fn json_error(status: u16) -> Response {
    Response::text(status, r#"{"error":"what the server says"}"#).header("Content-Type", "application/json")
}

const HTML: &str = "<html><body>Something is wrong</body></html>";

struct Expected {
    kind: ErrorKind,
    status: Option<u16>,
    retryable: bool,
    retry_after: Option<u64>,
    message: Option<&'static str>,
}

#[track_caller]
fn check(name: &str, error: &Error, expected: &Expected) {
    assert_eq!(error.kind(), expected.kind, "{name}: {error:?}");
    assert_eq!(error.status(), expected.status, "{name}");
    assert_eq!(error.is_retryable(), expected.retryable, "{name}");
    assert_eq!(error.retry_after(), expected.retry_after.map(Duration::from_secs), "{name}");
    assert_eq!(error.server_message(), expected.message, "{name}");
    assert_eq!(error.is_auth(), expected.status == Some(401), "{name}");
    assert!(!format!("{error} {error:?}").contains(PAT), "{name}: {error:?}");
}

#[test]
fn every_status_is_the_right_error_for_reads_and_writes() {
    let api = Api::new();
    let client = api.builder().retries(0).max_retry_wait(Duration::ZERO);
    let client = client.build(PAT.parse::<PersonalAccessToken>().unwrap()).unwrap();
    for (status, kind, retryable, advice) in [
        (400, ErrorKind::Server, false, ""),
        (401, ErrorKind::Unauthorized, false, "copied whole"),
        (403, ErrorKind::Forbidden, false, "use the token of an account that may do it"),
        (404, ErrorKind::NotFound, false, "check the "),
        (409, ErrorKind::Conflict, false, "use another name or value"),
        (413, ErrorKind::Server, false, "send less"),
        (429, ErrorKind::RateLimited, true, "try again"),
        (500, ErrorKind::Server, false, "try again later, or report it"),
        (502, ErrorKind::Server, true, "try again later"),
        (503, ErrorKind::Server, true, "try again later"),
        (504, ErrorKind::Server, true, "try again later"),
    ] {
        for (name, response, message) in [
            ("JSON", json_error(status), Some("what the server says")),
            ("text", Response::text(status, "Bad thing"), Some("Bad thing")),
            (
                "JSON called a page",
                Response::text(status, r#"{"error":"x"}"#).header("Content-Type", "text/html"),
                Some("x"),
            ),
            ("HTML", Response::text(status, HTML).header("Content-Type", "text/html"), Some(HTML)),
            ("half a JSON", Response::text(status, r#"{"error":"wh"#), Some(r#"{"error":"wh"#)),
            ("empty", Response::text(status, ""), None),
        ] {
            for retry_after in [None, Some(7)] {
                let response = match retry_after {
                    Some(seconds) => response.clone().header("Retry-After", &seconds.to_string()),
                    None => response.clone(),
                };
                api.answers(response);
                let status = Some(status);
                let expected = Expected { kind, status, retryable, retry_after, message };
                let name = format!("{status:?} {name} {retry_after:?}");
                let error = client.account().me().unwrap_err();
                check(&name, &error, &expected);
                assert!(error.to_string().contains(advice), "{name}: {error}");
                check(&name, &client.agencies().leave(&"ag-1".into()).unwrap_err(), &expected);
                check(&name, &client.agents().create("mybot").send().unwrap_err(), &expected);
            }
        }
    }
}

#[test]
fn unusual_responses_are_errors_too() {
    let api = Api::new();
    let client = api.client();
    for (response, kind, status) in [
        (Response::text(200, HTML).header("Content-Type", "text/html"), ErrorKind::Protocol, Some(200)),
        (Response::text(200, HTML), ErrorKind::Protocol, Some(200)),
        (Response::text(200, ""), ErrorKind::Protocol, None),
        (Response::text(204, ""), ErrorKind::Protocol, None),
        (Response::text(200, r#"{"id":"usr-1","#), ErrorKind::Protocol, None),
        (Response::text(200, "null"), ErrorKind::Protocol, None),
    ] {
        api.answers(response.clone());
        let error = client.account().me().unwrap_err();
        assert_eq!(
            (error.kind(), error.status(), error.is_retryable()),
            (kind, status, false),
            "{response:?}"
        );
        assert!(error.to_string().contains("GET /api/auth/me"), "{error}");
    }
    // JSON is decoded whatever its content type.
    api.answers(Response::text(200, r#"{"id":"u","username":"a"}"#).header("Content-Type", "text/plain"));
    client.account().me().unwrap();
    // A call without a result accepts an empty body.
    for status in [200, 201, 204] {
        api.answers(Response::text(status, ""));
        client.agencies().leave(&"ag-1".into()).unwrap();
    }
}

#[test]
fn a_failure_with_a_successful_status_is_an_error_in_any_json() {
    let api = Api::new();
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let deep = format!(r#"{{"ok":false,"error":"no","deep":{deep}}}"#);
    let answers: [&[u8]; 6] = [
        br#"{"ok":false,"error":"no"}"#,
        br#"{"success":false,"error":"no","half":"\ud83d"}"#,
        br#"{"ok":false,"error":"no","number":1e999}"#,
        b"{\"ok\":false,\"error\":\"no\",\"half\":\"\xf0\x9f\"}",
        b"\xef\xbb\xbf{\"ok\":false,\"error\":\"no\"}",
        deep.as_bytes(),
    ];
    for json in answers {
        api.answers(Response::text(200, json));
        let error = api.client().agencies().delete(&"ag-1".into()).unwrap_err();
        let name = String::from_utf8_lossy(json);
        assert_eq!((error.kind(), error.server_message()), (ErrorKind::Server, Some("no")), "{name}");
    }
    api.answers(Response::text(200, r#"{"ok":true,"kept":{"ok":false}}"#));
    api.client().agencies().delete(&"ag-1".into()).unwrap();
}

#[test]
fn an_answer_with_a_successful_status_does_not_show_what_was_sent() {
    let api = Api::new();
    let secret = "cru_claim_do_not_print_me";
    for answer in [
        format!(r#"{{"ok":false,"error":"not for {secret}"}}"#),
        format!(r#"{{"error":"not for {secret}"}}"#),
    ] {
        api.answers(Response::text(200, answer));
        let client = api.client();
        for error in [
            api.builder().login("alice", secret).unwrap_err(),
            api.builder().register("alice", secret).unwrap_err(),
            client.onboarding().claim_lookup(&secret.parse().unwrap()).unwrap_err(),
            client.agencies().create("name").password(secret).send().unwrap_err(),
        ] {
            let text = shown(&error);
            assert!(!text.contains("do_not_print"), "{text}");
        }
    }
}

#[test]
fn an_unreadable_answer_does_not_show_a_new_credential() {
    let api = Api::new();
    api.answers(Response::text(200, r#"{"message":"Keep this: do_not_print_me"}"#));
    let client = api.client();
    let agency = AgencyId::from("ag-1");
    let (commands, webhooks) = (client.commands(&agency), client.webhooks(&agency));
    for error in [
        api.builder().login("alice", "correct horse").unwrap_err(),
        api.builder().register("alice", "correct horse").unwrap_err(),
        Agent::builder().api_url(api.client_url()).connect("sk_1234".parse().unwrap()).unwrap_err(),
        client.tokens().create("ci").send().unwrap_err(),
        client.agents().create("mybot").send().unwrap_err(),
        client.onboarding().bootstrap("alice", "correct horse", "mybot").send().unwrap_err(),
        client.onboarding().register_agent("mybot").send().unwrap_err(),
        client.hooks().rotate_key(&"h-1".into()).unwrap_err(),
        client.hooks().deploy("dice", "code").command("roll", "Rolls").send().unwrap_err(),
        commands.create("dice", "https://w").send().unwrap_err(),
        commands.hook_key(&"c-1".into()).unwrap_err(),
        webhooks.create("https://w", [WebhookEvent::MessageCreated]).send().unwrap_err(),
        webhooks.update(&"s-1".into()).enabled(true).send().unwrap_err(),
        client.agencies().invite(&agency).send().unwrap_err(),
    ] {
        let text = shown(&error);
        assert!(error.kind() == ErrorKind::Protocol && !text.contains("do_not_print"), "{text}");
    }
    // Other calls show the server's text.
    let error = client.agencies().create("name").send().unwrap_err();
    assert_eq!(error.server_message(), Some("Keep this: do_not_print_me"), "{error}");
}

/// The client must not follow a redirect, because that would send the credential to another host.
#[test]
fn no_redirect_is_followed() {
    let api = Api::new();
    let client = api.client();
    for status in [301, 302, 303, 307, 308] {
        for target in [Some("http://127.0.0.1:1/"), Some("/api/elsewhere"), None] {
            let response = Response::text(status, HTML);
            api.answers(match target {
                Some(target) => response.header("Location", target),
                None => response,
            });
            let before = api.requests().len();
            for error in
                [client.account().me().unwrap_err(), client.agencies().leave(&"ag-1".into()).unwrap_err()]
            {
                let expected = Expected {
                    kind: ErrorKind::Server,
                    status: Some(status),
                    retryable: false,
                    retry_after: None,
                    message: None,
                };
                check(&format!("{status} to {target:?}"), &error, &expected);
                assert!(error.to_string().contains("redirects"), "{error}");
            }
            assert_eq!(api.requests().len(), before + 2, "each asked once");
        }
    }
}

#[test]
fn an_error_whose_body_breaks_off_keeps_its_status() {
    let _watchdog = crate::common::watchdog(Duration::from_secs(180));
    let url = breaks_off("HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\n{\"error\":\"You may");
    let client = Client::builder().api_url(url).build(PAT.parse::<PersonalAccessToken>().unwrap()).unwrap();
    for error in [client.account().me().unwrap_err(), client.agencies().leave(&"ag-1".into()).unwrap_err()] {
        assert_eq!((error.kind(), error.status()), (ErrorKind::Forbidden, Some(403)), "{error:?}");
        assert!(error.server_message().is_some_and(|text| text.contains("You may")), "{error:?}");
    }
}

/// A server that sends this part of a response and closes the connection.
fn breaks_off(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn a_truncated_body_has_an_error_that_depends_on_the_method() {
    let _watchdog = crate::common::watchdog(Duration::from_secs(180));
    let url = breaks_off("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":");
    let client = Client::builder().api_url(url).retries(1);
    let client = client.build(PAT.parse::<PersonalAccessToken>().unwrap()).unwrap();
    let read = client.account().me().unwrap_err();
    assert_eq!((read.kind(), read.is_retryable()), (ErrorKind::Connect, true), "{read:?}");
    assert!(read.to_string().contains("tried 2 times"), "{read}");
    let write = client.agencies().leave(&"ag-1".into()).unwrap_err();
    assert_eq!((write.kind(), write.is_retryable()), (ErrorKind::MaybeSent, false), "{write:?}");
    assert!(!write.to_string().contains("tried"), "{write}");
}

#[test]
fn the_caller_can_set_retries_and_waits() {
    let api = Api::new();
    let count = |client: &Client| {
        let before = api.requests().len();
        let started = Instant::now();
        let error = client.account().me().unwrap_err();
        (api.requests().len() - before, started.elapsed(), error)
    };
    let build = |retries, wait| {
        let builder = api.builder().retries(retries).max_retry_wait(wait);
        builder.build(PAT.parse::<PersonalAccessToken>().unwrap()).unwrap()
    };
    api.answers(json_error(503));
    let (tries, _, error) = count(&build(1, Duration::ZERO));
    assert_eq!(tries, 2);
    assert!(error.to_string().contains("tried 2 times"), "{error}");
    let (tries, _, error) = count(&build(0, Duration::from_secs(5)));
    assert!(tries == 1 && !error.to_string().contains("tried"), "{error}");

    api.answers(json_error(429).header("Retry-After", "1"));
    assert_eq!(count(&build(5, Duration::ZERO)).0, 1, "waiting is off");
    let (tries, took, error) = count(&build(0, Duration::from_secs(1)));
    assert!(tries == 2 && took >= Duration::from_secs(1), "waited once: {tries}, {took:?}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    // The server refused the request without processing it, so calls that change something are repeated, too.
    let before = api.requests().len();
    build(0, Duration::from_secs(1)).agents().create("mybot").send().unwrap_err();
    assert_eq!(api.requests().len(), before + 2);
    api.answers(json_error(429).header("Retry-After", "2"));
    assert_eq!(count(&build(2, Duration::from_secs(1))).0, 1, "too long to wait");
}
