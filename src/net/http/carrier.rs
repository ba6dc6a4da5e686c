//! HTTP for another protocol to ride on: Engine.IO's long-polling.
//!
//! Unlike [`Http`](super::Http) it knows no JSON and no credentials, takes every status for an answer, keeps cookies,
//! and has a time limit a request: a poll may hang for most of a minute.

use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ureq::config::AutoHeaderValue;
use ureq::http::{HeaderValue, Uri, header};
use zeroize::Zeroizing;

use super::cookies::Jar;
use super::failure::{self, Failure, Label, Why};
use super::transport::{DialConnector, INPUT_BUFFER, NoResolver, OUTPUT_BUFFER, with_credential};
use super::{MAX_BODY, MAX_IDLE_CONNECTIONS, MAX_IDLE_ONCE, MAX_TIMEOUT, MAX_URL, Method, header_text};
use crate::error::{Error, Result};
use crate::net::dial::Dialer;
use crate::net::url::ApiUrl;

/// Connections to one server and the cookies it gave. Cheap to clone; for one session.
#[derive(Clone)]
pub(crate) struct Carrier(Arc<Shared>);

struct Shared {
    agent: ureq::Agent,
    url: ApiUrl,
    jar: Mutex<Jar>,
    closed: AtomicBool,
}

/// An answer of any status.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    /// Where a redirect points: none is followed.
    pub(crate) location: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

impl Carrier {
    /// Every connection begins anew with `connect_timeout`, or what is left of the request's limit if that is less.
    ///
    /// # Errors
    /// `Config`: what [`Dialer::check`] says, or an unusable user agent.
    pub(crate) fn new(
        dialer: Dialer,
        url: ApiUrl,
        user_agent: &str,
        connect_timeout: Duration,
    ) -> Result<Self> {
        dialer.check(&url)?;
        if HeaderValue::from_str(user_agent).is_err() {
            return Err(Error::config("the user agent contains what no HTTP header can hold"));
        }
        let settings = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(user_agent)
            .accept("*/*")
            // Engine.IO compresses when it is asked to, and events are too small to gain by it.
            .accept_encoding(AutoHeaderValue::None)
            .timeout_connect(Some(connect_timeout.min(MAX_TIMEOUT)))
            .max_response_header_size(INPUT_BUFFER)
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .max_idle_connections(MAX_IDLE_CONNECTIONS)
            .max_idle_connections_per_host(MAX_IDLE_CONNECTIONS)
            .max_idle_age(MAX_IDLE_ONCE)
            .build();
        let connector = DialConnector { dialer, url: url.clone() };
        let agent = ureq::Agent::with_parts(settings, connector, NoResolver);
        Ok(Carrier(Arc::new(Shared { agent, url, jar: Mutex::default(), closed: AtomicBool::new(false) })))
    }

    /// `target` is path and query, encoded.
    ///
    /// # Errors
    /// `Connect`, `Tls`, `Config`: the server was not reached, or the connection broke. `Timeout`: no complete answer
    /// within `limit`. `Protocol`: no HTTP, a body of more than 16 MiB, or one with an encoding that was not asked for.
    /// `Closed`: after [`shutdown`](Self::shutdown).
    pub(crate) fn get(&self, target: &str, limit: Duration) -> Result<Carried> {
        self.send(Method::Get, target, None, limit)
    }

    /// As [`get`](Self::get).
    ///
    /// # Errors
    /// The same, but `MaybeSent` when the connection broke after a part of the request had left.
    pub(crate) fn post(
        &self,
        target: &str,
        content_type: &'static str,
        body: &[u8],
        limit: Duration,
    ) -> Result<Carried> {
        self.send(Method::Post, target, Some((content_type, body)), limit)
    }

    /// Ends the requests in flight, in all clones, and refuses new ones. May be called from any thread.
    pub(crate) fn shutdown(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.agent.clone().shutdown();
    }

    /// The value of the header `Cookie` for a request to this path, such as the upgrade to WebSocket.
    pub(crate) fn cookies(&self, path: &str) -> Option<Zeroizing<String>> {
        self.jar().header(path, self.0.url.is_secure())
    }

    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.0.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never repeats a request of which a byte may have left: a second poll ends the session.
    fn send(
        &self,
        method: Method,
        target: &str,
        body: Option<(&'static str, &[u8])>,
        limit: Duration,
    ) -> Result<Carried> {
        let label = Label::new(method, target);
        let uri = self.uri(target)?;
        let limit = limit.min(MAX_TIMEOUT);
        let started = Instant::now();
        let mut stale = 0;
        loop {
            if self.0.closed.load(Ordering::Acquire) {
                return Err(Error::closed());
            }
            let left = limit.saturating_sub(started.elapsed());
            let failure = match self.attempt(method, target, &label, &uri, body, (limit, left)) {
                Ok(answer) => {
                    log::trace!("{label}: {} after {:?}", answer.status, started.elapsed());
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            if self.0.closed.load(Ordering::Acquire) {
                return Err(Error::closed());
            }
            // The pool may hold several dead connections, but not more than these.
            stale += 1;
            if failure.why != Why::NothingSent || stale > MAX_IDLE_CONNECTIONS {
                return Err(failure.error);
            }
        }
    }

    fn attempt(
        &self,
        method: Method,
        target: &str,
        label: &Label,
        uri: &Uri,
        body: Option<(&'static str, &[u8])>,
        (limit, left): (Duration, Duration),
    ) -> Result<Carried, Failure> {
        if left.is_zero() {
            return Err(failure::too_slow(label, limit));
        }
        let transport = |error| failure::of_transport(label, method, limit, error);
        let cookies = self.cookies(target);
        let cookies = cookies.as_ref().map(|line| ("Cookie", line.as_str()));
        let response = with_credential(cookies, || self.run(method, uri, body, left));
        let mut response = response.map_err(transport)?;

        let headers = response.headers();
        {
            let mut jar = self.jar();
            for line in headers.get_all(header::SET_COOKIE) {
                jar.absorb(line.as_bytes(), target, self.0.url.is_secure());
            }
        }
        let encoding = header_text(headers, header::CONTENT_ENCODING).unwrap_or("identity");
        if !encoding.trim().eq_ignore_ascii_case("identity") {
            return Err(failure::encoded(label));
        }
        let text = |name| header_text(headers, name).map(str::to_owned);
        let mut answer = Carried {
            status: response.status().as_u16(),
            content_type: text(header::CONTENT_TYPE),
            location: text(header::LOCATION),
            retry_after: header_text(headers, header::RETRY_AFTER)
                .and_then(|text| failure::retry_after(text, SystemTime::now())),
            body: Vec::new(),
        };
        let mut reader = response.body_mut().as_reader().take(MAX_BODY + 1);
        reader.read_to_end(&mut answer.body).map_err(|error| transport(error.into()))?;
        if answer.body.len() as u64 > MAX_BODY {
            return Err(failure::too_large(label, MAX_BODY));
        }
        Ok(answer)
    }

    fn run(
        &self,
        method: Method,
        uri: &Uri,
        body: Option<(&'static str, &[u8])>,
        left: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let agent = &self.0.agent;
        let head = ureq::http::Request::builder().method(method.name()).uri(uri.clone());
        match body {
            None => {
                let request = agent.configure_request(head.body(())?);
                agent.run(request.timeout_global(Some(left)).build())
            }
            Some((content_type, body)) => {
                let head = head.header(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
                let request = agent.configure_request(head.body(body)?);
                agent.run(request.timeout_global(Some(left)).build())
            }
        }
    }

    fn uri(&self, target: &str) -> Result<Uri> {
        let fits = target.starts_with('/')
            && target.len() <= MAX_URL
            && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        // The text is not repeated: the session's id is in it.
        match format!("{}{target}", self.0.url).parse() {
            Ok(uri) if fits => Ok(uri),
            _ => Err(Error::invalid("the path of a request contains what no URL can hold")),
        }
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier")
            .field("url", &self.0.url)
            .field("cookies", &*self.jar())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener};
    use std::sync::mpsc::Receiver;
    use std::thread;

    use super::*;
    use crate::error::ErrorKind;
    use crate::net::testing::{PATIENCE, Step, closed_port, config, ok, read_request, reply, scripted};

    const TEXT: &str = "text/plain;charset=UTF-8";
    const TARGET: &str = "/socket.io/?EIO=4&transport=polling&sid=do_not_print";

    fn to(address: SocketAddr) -> Carrier {
        let config = config(format!("http://{address}"));
        let dialer = Dialer::new(&config).unwrap();
        Carrier::new(dialer, config.url().unwrap(), "tester/1", Duration::from_secs(5)).unwrap()
    }

    fn carrier(steps: Vec<Step>) -> (Carrier, Receiver<String>) {
        let (address, requests) = scripted(steps);
        (to(address), requests)
    }

    fn head_of(requests: &Receiver<String>) -> String {
        requests.recv_timeout(PATIENCE).unwrap().to_ascii_lowercase()
    }

    #[test]
    fn says_what_engine_io_wants_to_hear() {
        let (carrier, requests) = carrier(vec![ok("0{}"), ok("ok")]);
        let answer = carrier.get(TARGET, PATIENCE).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"0{}".as_slice()));
        let request = head_of(&requests);
        assert!(request.starts_with("get /socket.io/?eio=4&transport=polling&sid="), "{request}");
        // R143
        assert!(
            !request.contains("accept-encoding") && request.contains("user-agent: tester/1"),
            "{request}"
        );

        carrier.post(TARGET, TEXT, "40ü".as_bytes(), PATIENCE).unwrap();
        let request = head_of(&requests);
        // R141
        assert!(request.contains("content-type: text/plain;charset=utf-8\r\n"), "{request}");
        assert!(request.contains("content-length: 4\r\n") && request.ends_with("40ü"), "{request}");
    }

    #[test]
    fn every_status_is_an_answer() {
        let answers = [(204, ""), (400, r#"{"code":1}"#), (413, "big"), (301, "moved"), (503, "later")];
        let headers = ["Content-Type: text/html", "Retry-After: 7", "Location: https://elsewhere.example/"];
        let steps = answers
            .iter()
            .map(|(status, body)| Step::ReplyAndClose(reply(*status, &headers, body)))
            .collect();
        let (carrier, requests) = carrier(steps);
        for (status, body) in answers {
            let answer = carrier.get(TARGET, PATIENCE).unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (status, body.as_bytes()));
            assert_eq!(answer.content_type.as_deref(), Some("text/html"));
            assert_eq!(answer.location.as_deref(), Some("https://elsewhere.example/"));
            assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
            head_of(&requests);
        }
    }

    /// R144
    #[test]
    fn cookies_are_kept() {
        let set = |headers: &[&str]| Step::Reply(reply(200, headers, "x"));
        let (carrier, requests) = carrier(vec![
            set(&["Set-Cookie: AWSALB=abc; Path=/; Expires=never", "Set-Cookie: io=1; Secure"]),
            set(&["Set-Cookie: b=2; Path=/socket.io/"]),
            ok(""),
        ]);
        carrier.get(TARGET, PATIENCE).unwrap();
        carrier.post(TARGET, TEXT, b"x", PATIENCE).unwrap();
        carrier.get(TARGET, PATIENCE).unwrap();
        assert!(!head_of(&requests).contains("cookie"));
        assert!(head_of(&requests).contains("\r\ncookie: awsalb=abc\r\n"));
        assert!(head_of(&requests).contains("\r\ncookie: b=2; awsalb=abc\r\n"));
        assert_eq!(carrier.cookies("/socket.io/?x").unwrap().as_str(), "b=2; AWSALB=abc");
        assert!(carrier.clone().cookies("/").is_some() && !format!("{carrier:?}").contains("abc"));
    }

    /// B49
    #[test]
    fn bodies_of_every_framing() {
        let raw = |text: &str| Step::ReplyAndClose(text.as_bytes().to_vec());
        let (carrier, requests) = carrier(vec![
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
            raw("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde"),
            raw("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nabcde"),
            raw("HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\nabcde"),
            raw("SSH-2.0\r\n\r\n"),
        ]);
        for _ in 0..2 {
            assert_eq!(carrier.get(TARGET, PATIENCE).unwrap().body, b"abcde");
        }
        for kind in [ErrorKind::Protocol, ErrorKind::Connect, ErrorKind::Protocol] {
            let error = carrier.get(TARGET, PATIENCE).unwrap_err();
            assert_eq!(error.kind(), kind, "{error:?}");
            assert!(!format!("{error} {error:?}").contains("do_not_print"), "{error:?}");
        }
        // None of them was sent twice.
        assert_eq!(requests.try_iter().count(), 5);
    }

    #[test]
    fn a_body_has_an_end() {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_BODY + 1);
        let mut answer = head.into_bytes();
        answer.resize(answer.len() + MAX_BODY as usize + 1, b'x');
        let (carrier, _requests) = carrier(vec![Step::ReplyAndClose(answer)]);
        let error = carrier.get(TARGET, PATIENCE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains("larger than 16 MiB"), "{error}");
    }

    #[test]
    fn each_request_has_its_own_limit_and_is_sent_once() {
        for (body, kind) in [(None, ErrorKind::Connect), (Some((TEXT, &b"x"[..])), ErrorKind::MaybeSent)] {
            let method = if body.is_none() { Method::Get } else { Method::Post };
            let (carrier, requests) = carrier(vec![Step::Hang, Step::Close, ok("never")]);
            let started = Instant::now();
            let error = carrier.send(method, TARGET, body, Duration::from_millis(200)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            assert!(started.elapsed() < Duration::from_secs(3));
            let error = carrier.send(method, TARGET, body, PATIENCE).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(requests.try_iter().count(), 2);
        }
        let nobody = to(SocketAddr::from(([127, 0, 0, 1], closed_port())));
        assert_eq!(nobody.get(TARGET, PATIENCE).unwrap_err().kind(), ErrorKind::Connect);
        assert_eq!(nobody.get("no-slash", PATIENCE).unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(nobody.get("/a b", PATIENCE).unwrap_err().kind(), ErrorKind::Invalid);
    }

    /// R140
    #[test]
    fn a_post_does_not_wait_for_a_poll() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let carrier = to(listener.local_addr().unwrap());
        let other = carrier.clone();
        let polling = thread::spawn(move || other.get(TARGET, PATIENCE).unwrap());
        let mut poll = listener.accept().unwrap().0;
        assert!(read_request(&mut poll).unwrap().starts_with("GET "));
        let server = thread::spawn(move || {
            let mut post = listener.accept().unwrap().0;
            assert!(read_request(&mut post).unwrap().starts_with("POST "));
            post.write_all(&reply(200, &[], "ok")).unwrap();
        });
        assert_eq!(carrier.post(TARGET, TEXT, b"40", PATIENCE).unwrap().body, b"ok");
        server.join().unwrap();
        assert!(!polling.is_finished());
        poll.write_all(&reply(200, &[], "6")).unwrap();
        assert_eq!(polling.join().unwrap().body, b"6");
    }

    #[test]
    fn shutdown_ends_a_poll() {
        let (carrier, requests) = carrier(vec![Step::Hang]);
        let other = carrier.clone();
        let polling = thread::spawn(move || other.get(TARGET, PATIENCE).unwrap_err());
        head_of(&requests);
        let started = Instant::now();
        carrier.shutdown();
        assert_eq!(polling.join().unwrap().kind(), ErrorKind::Closed);
        assert!(started.elapsed() < PATIENCE / 2);
        assert_eq!(carrier.post(TARGET, TEXT, b"x", PATIENCE).unwrap_err().kind(), ErrorKind::Closed);
    }
}
