use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use std::borrow::Cow;

use super::request::MAX_URL;
use super::response::MAX_BODY;
use super::*;
use crate::error::ErrorKind;
use crate::net::testing::{ClosedPort, Step, TIME_LIMIT, config, ok, read_request, reply, scripted};

const TOKEN: &str = "sk_do_not_print_me";
const BEARER: &str = "Bearer sk_do_not_print_me";

fn http(steps: Vec<Step>) -> (Http, Receiver<String>) {
    let (address, requests) = scripted(steps);
    (config(format!("http://{address}")).http().unwrap(), requests)
}

fn request<'a>(method: Method, path: &'a str) -> HttpRequest<'a> {
    HttpRequest { method, path, query: &[], credential: Some(("Authorization", BEARER)), body: None }
}

fn get(path: &str) -> HttpRequest<'_> {
    request(Method::Get, path)
}

fn status(status: u16, headers: &[&str], body: &str) -> Step {
    Step::Reply(reply(status, headers, body))
}

fn count(requests: &Receiver<String>) -> usize {
    requests.try_iter().count()
}

/// Neither the error nor any of its causes may contain the token.
fn no_secret(error: &Error) {
    let mut text = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    assert!(!text.contains("do_not_print"), "{text}");
}

#[test]
fn sends_what_the_api_wants() {
    let (http, requests) = http(vec![ok("[1]"), ok(""), ok(""), ok(""), ok("")]);
    let query = [("q", Cow::from("a b&c=ü/é")), ("limit", Cow::from("5"))];
    let response = http.send(HttpRequest { query: &query, ..get("/api/explore") }).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, b"[1]".as_slice()));
    let sent = requests.recv_timeout(TIME_LIMIT).unwrap();
    let lower = sent.to_lowercase();
    assert!(
        sent.starts_with("GET /api/explore?q=a%20b%26c%3D%C3%BC%2F%C3%A9&limit=5 HTTP/1.1\r\n"),
        "{sent}"
    );
    assert_eq!(sent.matches("Authorization: Bearer sk_do_not_print_me\r\n").count(), 1, "{sent}");
    assert!(lower.contains("accept: application/json\r\n"), "{sent}");
    assert!(lower.contains("accept-encoding: gzip\r\n"), "{sent}");
    assert!(
        lower.contains(concat!("user-agent: crustocean-rust/", env!("CARGO_PKG_VERSION"), "\r\n")),
        "{sent}"
    );
    assert!(!lower.contains("content-type") && !lower.contains("content-length"), "{sent}");

    for method in [Method::Post, Method::Patch, Method::Delete] {
        let body = Some(br#"{"a":1}"#.as_slice());
        http.send(HttpRequest { body, credential: None, ..request(method, "/x") }).unwrap();
        let sent = requests.recv_timeout(TIME_LIMIT).unwrap();
        let lower = sent.to_lowercase();
        assert!(sent.starts_with(&format!("{} /x HTTP/1.1\r\n", method.name())), "{sent}");
        assert!(lower.contains("content-type: application/json\r\n"), "{sent}");
        assert!(lower.contains("content-length: 7\r\n") && sent.ends_with("\r\n\r\n{\"a\":1}"), "{sent}");
        assert!(!lower.contains("authorization"), "{sent}");
    }

    http.send(request(Method::Post, "/empty")).unwrap();
    let sent = requests.recv_timeout(TIME_LIMIT).unwrap().to_lowercase();
    assert!(sent.contains("content-length: 0\r\n") && !sent.contains("content-type"), "{sent}");
}

/// A request in two pieces wakes the server twice, and is two TLS records.
#[test]
fn a_small_request_leaves_in_one_piece() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = config(format!("http://{}", listener.local_addr().unwrap())).http().unwrap();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(TIME_LIMIT)).unwrap();
        let mut first_pieces = Vec::new();
        for _ in 0..50 {
            let mut piece = [0; 4096];
            let count = socket.read(&mut piece).unwrap();
            let mut text = String::from_utf8_lossy(&piece[..count]).into_owned();
            first_pieces.push(text.clone());
            while !text.ends_with("{\"a\":1}") {
                let count = socket.read(&mut piece).unwrap();
                text += &String::from_utf8_lossy(&piece[..count]);
            }
            socket.write_all(&reply(200, &[], "")).unwrap();
        }
        first_pieces
    });
    for turn in 0..50 {
        let credential = Some(("Authorization", BEARER)).filter(|_| turn % 2 == 0);
        let body = Some(br#"{"a":1}"#.as_slice());
        http.send(HttpRequest { body, credential, ..request(Method::Post, "/x") }).unwrap();
    }
    for (turn, piece) in server.join().unwrap().iter().enumerate() {
        assert!(piece.ends_with("\r\n\r\n{\"a\":1}"), "request {turn}: {piece}");
        assert_eq!(piece.contains(BEARER), turn % 2 == 0, "request {turn}: {piece}");
    }
}

#[test]
fn a_large_request_arrives_whole() {
    let (http, requests) = http(vec![ok(""), ok("")]);
    for size in [16 * 1024, 1024 * 1024 + 1] {
        let body: String = (0..size).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        http.send(HttpRequest { body: Some(body.as_bytes()), ..request(Method::Post, "/x") }).unwrap();
        let sent = requests.recv_timeout(TIME_LIMIT).unwrap();
        let (head, arrived) = sent.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.matches(BEARER).count(), 1, "{head}");
        assert!(arrived == body, "{} bytes of {size}", arrived.len());
    }
}

#[test]
fn reads_gzip() {
    // `printf '{"ok":true}' | gzip -n`
    let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\xcf\x56\xb2\x2a\x29\x2a\x4d\xad\x05\x00\x90\x5f\xd4\xa7\x0b\x00\x00\x00";
    let (http, _requests) = http(vec![Step::Reply(reply(200, &["Content-Encoding: gzip"], packed))]);
    assert_eq!(http.send(get("/x")).unwrap().body, br#"{"ok":true}"#);
}

/// Zeros, compressed to 1/158th: one literal, then the longest match repeated.
fn gzip_bomb(size: usize) -> Vec<u8> {
    let (mut packed, mut bits) = (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03".to_vec(), Vec::new());
    // The last block, with the fixed code; the literal 0.
    bits.extend_from_slice(&[1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0]);
    for _ in 0..size / 258 + 1 {
        // Length 258, distance 1.
        bits.extend_from_slice(&[1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
    }
    packed.extend(bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | bit)));
    packed
}

#[test]
fn a_small_answer_cannot_unfold_without_end() {
    let bomb = gzip_bomb(3 * MAX_BODY);
    assert!(bomb.len() < MAX_BODY / 32);
    let (http, _requests) = http(vec![Step::ReplyAndClose(reply(200, &["Content-Encoding: gzip"], bomb))]);
    let error = http.send(get("/x")).unwrap_err();
    assert!(error.to_string().contains("larger than 16 MiB"), "{error}");
}

#[test]
fn every_status_has_its_kind() {
    for (code, kind) in [
        (400, ErrorKind::Server),
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::NotFound),
        (409, ErrorKind::Conflict),
        (418, ErrorKind::Server),
        (422, ErrorKind::Server),
        (429, ErrorKind::RateLimited),
        (500, ErrorKind::Server),
    ] {
        let (http, _requests) = http(vec![status(code, &[], r#"{"error":"Because."}"#)]);
        let error = http.send(request(Method::Post, "/api/auth/login")).unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, Some(code)));
        assert_eq!(error.server_message(), Some("Because."));
        assert!(error.to_string().starts_with(&format!("POST /api/auth/login: {code}: Because.")), "{error}");
        no_secret(&error);
    }
}

#[test]
fn an_error_says_what_to_do_and_no_secret() {
    let echo = format!(r#"{{"error":"unknown token {TOKEN}"}}"#);
    let (http, _requests) = http(vec![status(401, &[], &echo)]);
    let query = [("secret", Cow::from("hunter2"))];
    let error = http.send(HttpRequest { query: &query, ..get("/api/auth/me") }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "GET /api/auth/me: 401: unknown token … (the token is wrong, expired or revoked: check that it was copied whole)"
    );
    assert!(!format!("{error:?}").contains("hunter2"));
    no_secret(&error);
}

#[test]
fn an_error_names_the_request_where_the_server_does() {
    let id = |value: &str| status(500, &[&format!("X-Request-Id: {value}")], r#"{"error":"Oops"}"#);
    let (http, _requests) = http(vec![id("req-1/a"), id("two words"), id(&"x".repeat(200)), id(TOKEN)]);
    let error = http.send(get("/x")).unwrap_err();
    assert_eq!(error.request_id(), Some("req-1/a"));
    assert_eq!(
        error.to_string(),
        "GET /x: 500: Oops (an error inside the server: try again later, or report it with the request id, if there is \
         one) [request req-1/a]"
    );
    for _ in 0..3 {
        let error = http.send(get("/x")).unwrap_err();
        assert_eq!(error.request_id(), None, "{error}");
        no_secret(&error);
    }
}

#[test]
fn an_error_need_not_be_json() {
    let page = "<html>\r\n<h1>502 Bad Gateway</h1>\x07</html>";
    let steps = || vec![status(500, &["Content-Type: text/html"], page), status(500, &[], "")];
    let (http, _requests) = http(steps());
    let error = http.send(get("/x")).unwrap_err();
    assert_eq!(error.server_message(), Some("<html> <h1>502 Bad Gateway</h1>\\u{7}</html>"));
    let error = http.send(get("/x")).unwrap_err();
    assert_eq!((error.status(), error.server_message()), (Some(500), None));
}

/// The status is more important than the text.
#[test]
fn an_error_that_breaks_off_is_still_that_error() {
    let mut half = reply(403, &[], r#"{"error":"No"}      "#);
    half.truncate(half.len() - 5);
    let endless = reply(404, &["Content-Type: text/html"], vec![b'x'; 1024 * 1024]);
    let broken = reply(409, &["Content-Encoding: gzip"], "this is not gzip");
    let (http, _requests) = http([half, endless, broken].map(Step::ReplyAndClose).into());
    let error = http.send(request(Method::Post, "/x")).unwrap_err();
    assert_eq!((error.status(), error.server_message()), (Some(403), Some("No")));
    for status in [404, 409] {
        let error = http.send(request(Method::Post, "/x")).unwrap_err();
        assert_eq!(error.status(), Some(status), "{error}");
    }
}

#[test]
fn what_was_packed_badly_is_a_protocol_error() {
    let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\xcf\x56\xb2\x2a\x29\x2a\x4d\xad\x05\x00\x90\x5f\xd4\xa7\x0b\x00\x00\x00";
    let mut wrong_sum = packed.to_vec();
    wrong_sum[23] ^= 1;
    let bodies = [&b"{}"[..], &packed[..12], &wrong_sum];
    let steps = bodies.map(|body| Step::Reply(reply(200, &["Content-Encoding: gzip"], body)));
    let (http, _requests) = http(steps.into());
    for _ in 0..3 {
        let error = http.send(get("/x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains("gzip"), "{error}");
    }
}

/// The server says that the request is too large and reads no further.
#[test]
fn an_answer_may_come_before_the_request_is_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = config(format!("http://{}", listener.local_addr().unwrap())).http().unwrap();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.read_exact(&mut [0; 100]).unwrap();
        socket.write_all(&reply(413, &["Connection: close"], "")).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        // Closing the socket with unread bytes would reset the connection, and the response would be lost.
        let _ = std::io::copy(&mut socket, &mut std::io::sink());
    });
    let body = vec![b'x'; 4 * 1024 * 1024];
    let error = http.send(HttpRequest { body: Some(&body), ..request(Method::Post, "/x") }).unwrap_err();
    assert_eq!(error.status(), Some(413), "{error}");
    drop(http);
    server.join().unwrap();
}

/// The server closes with unread bytes, so the rest of the request is answered by a reset.
#[test]
fn an_early_answer_counts_although_the_connection_is_reset() {
    for (code, kind) in
        [(413, ErrorKind::Server), (401, ErrorKind::Unauthorized), (429, ErrorKind::RateLimited)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let http = config(format!("http://{}", listener.local_addr().unwrap())).http().unwrap();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.read_exact(&mut [0; 100]).unwrap();
            socket.write_all(&reply(code, &[], r#"{"error":"No."}"#)).unwrap();
        });
        let body = vec![b'x'; 64 * 1024 * 1024];
        let error = http.send(HttpRequest { body: Some(&body), ..request(Method::Patch, "/x") }).unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, Some(code)), "{error}");
        assert_eq!(error.server_message(), Some("No."));
        server.join().unwrap();
    }
}

/// The server has answered and neither reads nor closes. The time limit passes in the middle of the request.
#[test]
fn an_early_answer_counts_although_nobody_reads_the_rest() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(format!("http://{}", listener.local_addr().unwrap()));
    config.http.request_timeout = Duration::from_secs(16);
    let http = config.http().unwrap();
    let (done, until) = mpsc::channel::<()>();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.read_exact(&mut [0; 100]).unwrap();
        socket.write_all(&reply(413, &[], "")).unwrap();
        let _ = until.recv_timeout(TIME_LIMIT);
    });
    let body = vec![b'x'; 64 * 1024 * 1024];
    let error = http.send(HttpRequest { body: Some(&body), ..request(Method::Post, "/x") }).unwrap_err();
    assert_eq!(error.status(), Some(413), "{error}");
    drop(done);
    server.join().unwrap();
}

#[test]
fn done_is_done_whatever_the_head_says_of_an_empty_body() {
    let steps = || {
        vec![
            status(204, &["Content-Encoding: gzip"], ""),
            status(200, &["Content-Encoding: gzip"], ""),
            status(204, &["Content-Type: text/html"], ""),
            status(200, &["Content-Type: text/html; charset=utf-8"], ""),
            status(200, &["Content-Type: text/html"], "OK"),
            status(200, &["Content-Type: text/html"], r#"{"ok":true}"#),
        ]
    };
    let (http, _requests) = http(steps());
    for step in 0..steps().len() {
        let response = http.send(request(Method::Delete, "/x"));
        assert!(response.is_ok(), "step {step}: {response:?}");
    }
}

#[test]
fn a_web_page_is_no_success_whatever_it_is_called() {
    let types = ["X-Type: none", "Content-Type: Text/HTML", "Content-Type: application/xhtml+xml"];
    let page = "\r\n<!DOCTYPE html><html><body>Please log in</body></html>";
    let (http, _requests) = http(types.iter().map(|name| status(200, &[name], page)).collect());
    for name in types {
        let error = http.send(request(Method::Delete, "/x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{name}");
        assert!(error.to_string().contains("web page"), "{error}");
    }
}

#[test]
fn gzip_has_several_names() {
    let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\xcf\x56\xb2\x2a\x29\x2a\x4d\xad\x05\x00\x90\x5f\xd4\xa7\x0b\x00\x00\x00";
    let names = ["gzip", "GZIP", "x-gzip", "identity, X-Gzip"];
    let steps = names.map(|name| Step::Reply(reply(200, &[&format!("Content-Encoding: {name}")], packed)));
    let (http, _requests) = http(steps.into());
    for name in names {
        assert_eq!(http.send(get("/x")).unwrap().body, br#"{"ok":true}"#, "{name}");
    }
}

#[test]
fn a_flood_around_an_answer_ends_soon() {
    for (start, again) in [
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("", "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X-Trailer: y\r\n"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let http = config(format!("http://{}", listener.local_addr().unwrap())).http().unwrap();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_write_timeout(Some(TIME_LIMIT)).unwrap();
            socket.write_all(start.as_bytes()).unwrap();
            let mut sent = 0;
            while socket.write_all(again.repeat(100).as_bytes()).is_ok() {
                sent += 100 * again.len();
            }
            sent
        });
        let error = http.send(get("/x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        drop(http);
        assert!(server.join().unwrap() < 32 << 20);
    }
}

/// The date is thirty seconds after the response, by the server's clock, which is an hour fast.
#[test]
fn a_date_to_wait_for_is_on_the_servers_clock() {
    let at = |seconds: u64| {
        httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3600 + seconds))
    };
    let (date, until) = (format!("Date: {}", at(0)), format!("Retry-After: {}", at(30)));
    let (http, _requests) = http(vec![status(429, &[&date, &until], "")]);
    let error = http.send(request(Method::Post, "/x")).unwrap_err();
    let wait = error.retry_after().unwrap();
    assert!((28..=31).contains(&wait.as_secs()), "{wait:?}");
}

#[test]
fn a_redirect_is_refused() {
    let target = "Location: https://evil.example/steal?x=1";
    // The host is longer than what is shown, and the cut is in the secret.
    let quoting = format!("Location: https://{}{TOKEN}.example", "x".repeat(190));
    let (http, requests) = http(vec![
        status(307, &[target], ""),
        status(302, &["Location: /other"], ""),
        status(302, &[&quoting], ""),
    ]);
    let error = http.send(request(Method::Post, "/x")).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Server, Some(307)));
    assert!(error.to_string().contains("redirects to evil.example,"), "{error}");
    let error = http.send(get("/x")).unwrap_err();
    assert!(error.to_string().contains("another path on the same server"), "{error}");
    let error = http.send(get("/x")).unwrap_err();
    assert!(error.to_string().contains("xx….example,") && !error.to_string().contains("sk_"), "{error}");
    assert_eq!(count(&requests), 3);
}

#[test]
fn an_answer_is_bounded() {
    let body = vec![b' '; MAX_BODY + 1];
    let exact = Step::Reply(reply(200, &[], &body[1..]));
    let (http, _requests) = http(vec![exact, Step::ReplyAndClose(reply(200, &[], &body))]);
    assert_eq!(http.send(get("/x")).unwrap().body.len(), MAX_BODY);
    let error = http.send(get("/x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("larger than 16 MiB"), "{error}");
}

#[test]
fn a_head_is_bounded() {
    let header = format!("X-Long: {}", "x".repeat(128 * 1024));
    let (http, _requests) = http(vec![Step::ReplyAndClose(reply(200, &[&header], ""))]);
    let error = http.send(get("/x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[test]
fn what_is_not_http_is_a_protocol_error() {
    let (http, requests) = http(vec![Step::ReplyAndClose(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec())]);
    let error = http.send(get("/x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert_eq!(count(&requests), 1);
}

#[test]
fn a_get_is_repeated_until_it_works() {
    let (http, requests) = http(vec![status(503, &[], ""), Step::Close, ok("done")]);
    assert_eq!(http.send(get("/x")).unwrap().body, b"done");
    assert_eq!(count(&requests), 3);
}

#[test]
fn a_get_is_repeated_only_twice() {
    let (http, requests) =
        http(vec![status(502, &[], ""), status(503, &[], ""), status(504, &[], ""), ok("too late")]);
    let error = http.send(get("/x")).unwrap_err();
    assert_eq!(error.status(), Some(504));
    assert!(error.is_retryable());
    assert_eq!(count(&requests), 3);
}

#[test]
fn what_changes_something_is_not_repeated() {
    for method in [Method::Post, Method::Patch, Method::Delete] {
        let (http, requests) = http(vec![status(503, &[], ""), Step::Close, ok("")]);
        let error = http.send(request(method, "/x")).unwrap_err();
        assert_eq!(error.status(), Some(503));
        let error = http.send(request(method, "/x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MaybeSent, "{error}");
        assert!(!error.is_retryable());
        assert_eq!(count(&requests), 2);
    }
}

#[test]
fn a_connection_closed_in_the_pool_is_not_noticed() {
    let again = || Step::ReplyAndClose(reply(200, &[], "x"));
    let (http, requests) = http(vec![again(), again(), again()]);
    for _ in 0..3 {
        http.send(request(Method::Post, "/x")).unwrap();
        // Gives the server's end time to arrive.
        thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(count(&requests), 3);
}

#[test]
fn a_short_wait_is_waited() {
    for method in [Method::Get, Method::Post] {
        let (http, requests) = http(vec![status(429, &["Retry-After: 1"], ""), ok("done")]);
        let started = Instant::now();
        assert_eq!(http.send(request(method, "/x")).unwrap().body, b"done");
        assert!(started.elapsed() >= Duration::from_secs(1));
        assert_eq!(count(&requests), 2);
    }
}

#[test]
fn a_long_wait_is_the_callers() {
    let (http, requests) = http(vec![status(429, &["Retry-After: 60"], r#"{"error":"Slow down"}"#)]);
    let error = http.send(get("/x")).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(error.to_string(), "GET /x: 429: Slow down (too many requests: try again in 60 s)");
    assert_eq!(count(&requests), 1);
}

#[test]
fn a_silent_server_times_out() {
    for method in [Method::Get, Method::Post] {
        let (address, requests) = scripted(vec![Step::Hang]);
        let mut config = config(format!("http://{address}"));
        config.http.request_timeout = Duration::from_millis(300);
        let started = Instant::now();
        let error = config.http().unwrap().send(request(method, "/x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.to_string().contains("300ms"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(count(&requests), 1);
        no_secret(&error);
    }
}

#[test]
fn a_body_that_breaks_off_is_not_an_answer() {
    let mut half = reply(200, &[], "0123456789");
    half.truncate(half.len() - 5);
    let halves = || Step::ReplyAndClose(half.clone());
    let (http, requests) = http(vec![halves(), ok("whole"), halves()]);
    assert_eq!(http.send(get("/x")).unwrap().body, b"whole");
    let error = http.send(request(Method::Post, "/x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MaybeSent, "{error}");
    assert_eq!(count(&requests), 3);
}

#[test]
fn nobody_there_is_a_connect_error() {
    let closed = ClosedPort::new();
    let port = closed.port;
    let http = config(format!("http://127.0.0.1:{port}")).http().unwrap();
    for method in [Method::Get, Method::Post] {
        let started = Instant::now();
        let error = http.send(request(method, "/x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(error.to_string().starts_with(&format!("cannot connect to 127.0.0.1:{port}: ")), "{error}");
        assert!(error.is_retryable());
        // The GET waits for its two pauses, the POST does not wait.
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_web_page_is_not_an_answer() {
    let (http, _requests) = http(vec![status(200, &["Content-Type: text/html; charset=utf-8"], "<html>")]);
    let error = http.send(get("/x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("web page"), "{error}");
}

#[test]
fn no_limit_is_a_limit_too() {
    let (address, _requests) = scripted(vec![ok("x")]);
    let mut config = config(format!("http://{address}"));
    config.http.request_timeout = Duration::MAX;
    config.http.connect_timeout = Duration::MAX;
    assert_eq!(config.http().unwrap().send(get("/x")).unwrap().body, b"x");
}

#[test]
fn handles_may_be_shared() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Http>();
    shared::<Dialer>();
    shared::<crate::net::CancelToken>();
    fn sent<T: Send + Sync + 'static>() {}
    sent::<crate::net::tls::MaybeTlsStream>();
}

#[test]
fn shutdown_ends_what_is_in_flight() {
    let (http, requests) = http(vec![Step::Hang]);
    let other = http.clone();
    let waiting = thread::spawn(move || other.send(get("/x")).unwrap_err());
    requests.recv_timeout(TIME_LIMIT).unwrap();
    http.shutdown();
    assert_eq!(waiting.join().unwrap().kind(), ErrorKind::Closed);
    assert_eq!(http.send(get("/x")).unwrap_err().kind(), ErrorKind::Closed);
}

/// A handle with its own token may have opened a connection, may have used it, or may have opened it ahead.
#[test]
fn a_cancelled_handle_ends_no_request_of_another_handle() {
    type Before = fn(&Http, &Http, &CancelToken);
    let befores: [(usize, Before); 3] = [
        (1, |_, cancellable, _| drop(cancellable.send(get("/x")).unwrap())),
        (2, |shared, cancellable, _| {
            shared.send(get("/x")).unwrap();
            cancellable.send(get("/x")).unwrap();
        }),
        (0, |shared, _, cancel| shared.connect_ahead(cancel)),
    ];
    for (requests, before) in befores {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = config(format!("http://{}", listener.local_addr().unwrap()));
        config.http.retries = 0;
        let http = config.http().unwrap();
        let (arrived, arrivals) = mpsc::channel();
        let (cancelled, cancels) = mpsc::channel();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            for _ in 0..requests {
                read_request(&mut socket).unwrap();
                socket.write_all(&reply(200, &[], "")).unwrap();
            }
            read_request(&mut socket).unwrap();
            arrived.send(()).unwrap();
            cancels.recv_timeout(TIME_LIMIT).unwrap();
            let _ = socket.write_all(&reply(200, &[], "done"));
        });
        let (cancellable, cancel) = http.cancellable();
        before(&http, &cancellable, &cancel);
        thread::scope(|scope| {
            let other = scope.spawn(|| http.send(get("/x")));
            arrivals.recv_timeout(TIME_LIMIT).unwrap();
            cancel.cancel();
            cancelled.send(()).unwrap();
            assert_eq!(other.join().unwrap().unwrap().body, b"done", "after {requests} requests");
        });
        server.join().unwrap();
        assert_eq!(cancellable.send(get("/x")).unwrap_err().kind(), ErrorKind::Closed);
    }
}

#[test]
fn one_pool_serves_many_threads() {
    let (http, requests) = http((0..8).map(|_| ok("x")).collect());
    thread::scope(|scope| {
        for _ in 0..2 {
            // The scripted server handles one connection at a time.
            scope.spawn(|| http.send(get("/x")).unwrap()).join().unwrap();
        }
    });
    assert_eq!(count(&requests), 2);
}

#[test]
fn refuses_what_no_request_can_hold() {
    let http = config("http://127.0.0.1:1").http().unwrap();
    for path in ["no-slash", "/a?b", "/a#b", "/a b", "/\u{e9}", "/a\r\nX: y"] {
        let error = http.send(get(path)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{path}");
    }
    let credential = Some(("Authorization", "Bearer x\r\nX-Evil: do_not_print"));
    let error = http.send(HttpRequest { credential, ..get("/x") }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    no_secret(&error);
    let query = [("q", Cow::from("x".repeat(MAX_URL)))];
    assert_eq!(http.send(HttpRequest { query: &query, ..get("/x") }).unwrap_err().kind(), ErrorKind::Invalid);
    for agent in ["", "a\nb", "ü"] {
        let mut config = config("http://127.0.0.1:1");
        config.http.user_agent = agent.to_owned();
        assert_eq!(config.http().unwrap_err().kind(), ErrorKind::Config, "{agent:?}");
    }
}
